import { expect, it } from 'vitest'
import { createClockReader } from '../src/time.ts'

it('reads what Falco writes as Date.parse does', () => {
  const timeOf = createClockReader()
  for (const text of [
    '2026-08-03T01:14:29.502328455Z',
    '2026-08-03T01:14:00.000000000Z',
    '2026-08-03T01:14:59.999999999Z',
    '2026-08-03T23:59:59.001000000Z',
    '2027-01-01T00:00:00.009999999Z',
    '2026-08-03T01:14:29.5Z',
    '2026-08-03T01:14:29Z',
    '2026-08-03T01:14:29.502328455+00:00',
  ])
    expect([text, timeOf(text)]).toEqual([text, Date.parse(text)])
})

it('gives NaN for anything else', () => {
  const timeOf = createClockReader()
  for (const odd of [
    undefined,
    null,
    1754183669,
    '',
    'yesterday',
    '2026-13-03T01:14:29.502328455Z',
  ])
    expect([odd, timeOf(odd)]).toEqual([odd, Number.NaN])
  expect(timeOf('2026-08-03T01:14:2x.502328455Z')).toBeNaN()
})
