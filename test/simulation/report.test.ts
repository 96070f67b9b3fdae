import { expect, it } from 'vitest'
import { coverageLines, scenarioLines, screenOf, summaryOf } from './report.ts'
import { type Scenario, scenarioOf } from './scenario.ts'

it('cuts a trace to a screen, its middle left out', () => {
  const trace = Array.from({ length: 1000 }, (_, index) => `${index} ms  ${'x'.repeat(400)}`)
  const screen = screenOf(trace)
  expect(screen.length).toBeLessThanOrEqual(42)
  expect(Math.max(...screen.map((line) => line.length))).toBeLessThanOrEqual(162)
  expect(screen[0]).toMatch(/^0 ms/)
  expect(screen.at(-1)).toMatch(/^999 ms/)
  expect(screen).toContain('… 960 more …')
  expect(screenOf(trace.slice(0, 40))).toHaveLength(40)
})

it('prints a scenario in a few lines', () => {
  const scenario = scenarioOf(1)
  const many = { ...scenario, alerts: Array(60).fill(scenario.alerts[0]) } as Scenario
  expect(scenarioLines(many).length).toBeLessThan(30)
})

it('lists the rare first, with what no seed had', () => {
  const faults = { kill: 50, freeze: 2, slow: 7, deny: 9 }
  const lines = coverageLines({ faults, facts: { kill: 49, drops: 99, never: 0 } }, 200)
  expect(lines.map((line) => line.replace(/ {2,}/g, '  '))).toEqual([
    'seeds with a fault of the kind',
    '  1.0 %  freeze  4.5 %  deny',
    '  3.5 %  slow  25.0 %  kill',
    'seeds in which',
    '  0.0 %  never  49.5 %  drops',
  ])
})

it('sums up', () => {
  expect(summaryOf(5000, 1, 10_000, 0)).toBe(
    '5000 seeds from 1 in 10.0 s, 500 a second: 0 violations',
  )
})
