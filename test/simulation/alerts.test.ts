import { expect, it } from 'vitest'
import { parseAlert } from '../../src/shared/alert/alert.ts'
import { type AlertSpec, lineOf, numberIn, passes, subjectOf } from './alerts.ts'

const SPEC: AlertSpec = { number: 12, at: 1_500, severity: 5, rule: 3, length: 300 }

it('makes an alert as Falco writes it', () => {
  const bytes = Buffer.from(lineOf(SPEC))
  expect(parseAlert(bytes, 0, bytes.length)).toMatchObject({ priority: 'Notice', rule: 'Rule 3' })
  expect(JSON.parse(lineOf(SPEC))).toMatchObject({ time: '2026-01-01T00:00:01.500000000Z' })
})

it('makes an internal one of rule 0, which passes whatever the priority', () => {
  const internal = { ...SPEC, severity: 7, rule: 0 }
  expect(JSON.parse(lineOf(internal))).toMatchObject({ priority: 'Debug', source: 'internal' })
  expect(subjectOf(internal)).toBe('falco.debug.falco_internal_syscall_event_drop')
  expect(passes(internal, { minPriority: 0 })).toBe(true)
  expect(passes(internal, { minPriority: 7, dropInternal: true })).toBe(false)
  expect(passes({ ...internal, rule: 1 }, { minPriority: 6 })).toBe(false)
})

it('is as long as it is asked to be, or as short as it can be', () => {
  for (const length of [150, 151, 300, 4096])
    expect(lineOf({ ...SPEC, length })).toHaveLength(length)
  expect(lineOf({ ...SPEC, length: 0 })).toHaveLength(lineOf({ ...SPEC, length: 1 }).length)
})

it('is found by its number, also where it is cut', () => {
  for (const number of [1, 12, 123, 123_456]) {
    const line = lineOf({ ...SPEC, number })
    expect(numberIn(line)).toBe(number)
    expect(numberIn(line.slice(0, -10))).toBe(number)
  }
  // What is left could be of alert 1, of 12 or of 123.
  expect(numberIn('{"hostname":"node-1","output":"alert 1')).toBeUndefined()
  expect(numberIn('')).toBeUndefined()
})
