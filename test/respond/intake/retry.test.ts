import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createFailures, keepTrying } from '../../../src/respond/intake/retry.ts'

function failuresOf() {
  const lines: { reason: string; msg: string }[] = []
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
  return {
    failures: createFailures(log, 'cannot', { playbook: 'p' }),
    lines,
    reasons: () => lines.map(({ reason }) => reason),
  }
}

it('logs each different reason once, until it has succeeded', () => {
  const { failures, lines, reasons } = failuresOf()
  for (const reason of ['a', 'b', 'a', 'b']) failures.add(new Error(reason))
  expect(reasons()).toEqual(['a', 'b'])
  expect(lines[0]).toMatchObject({ level: 40, playbook: 'p', msg: 'cannot' })
  expect(failures.count()).toBe(4)
  failures.clear()
  expect(failures.count()).toBe(0)
  failures.add(new Error('a'))
  expect(reasons()).toEqual(['a', 'b', 'a'])
})

it('logs no more than sixteen reasons that a server may invent', () => {
  const { failures, lines } = failuresOf()
  for (let n = 0; n < 100; n++) failures.add(`reason ${n}`)
  expect(lines).toHaveLength(16)
  expect(failures.count()).toBe(100)
})

it('tries until it succeeds, with a pause after each failure', async () => {
  const { failures, reasons } = failuresOf()
  let tries = 0
  const act = async () => {
    if (++tries < 4) throw new Error(`try ${tries}`)
    return 'there'
  }
  const begun = performance.now()
  const { signal } = new AbortController()
  expect(await keepTrying(act, failures, 20, signal)).toBe('there')
  // 20, 40 and 80 ms, of each of which half is left to chance; timers may be a little early.
  expect(performance.now() - begun).toBeGreaterThanOrEqual(65)
  expect(reasons()).toEqual(['try 1', 'try 2', 'try 3'])
})

it('ends at a stop, also in a pause, and logs nothing that fails by it', async () => {
  const stop = new AbortController()
  const { failures, reasons } = failuresOf()
  let tries = 0
  const act = async () => {
    tries++
    throw new Error('away')
  }
  const trying = keepTrying(act, failures, 60_000, stop.signal)
  await new Promise(setImmediate)
  stop.abort()
  expect(await trying).toBeUndefined()
  expect(await keepTrying(act, failures, 1, stop.signal)).toBeUndefined()
  expect([tries, reasons()]).toEqual([1, ['away']])
})
