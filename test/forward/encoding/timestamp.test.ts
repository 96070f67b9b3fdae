import { expect, it } from 'vitest'
import { createClockReader } from '../../../src/forward/encoding/timestamp.ts'

function setUp() {
  const readClock = createClockReader()
  return (value: unknown) => {
    const bytes = Buffer.from(`,${JSON.stringify(value)},`)
    return readClock(bytes, 1, bytes.length - 1)
  }
}

it('reads what Falco writes as Date.parse does', () => {
  const timeOf = setUp()
  for (const text of [
    '2026-08-03T01:14:29.502328455Z',
    '2026-08-03T01:14:00.000000000Z',
    '2026-08-03T01:14:59.999999999Z',
    '2026-08-03T23:59:59.001000000Z',
    '2026-08-03T01:14:29.502328455Z',
    '2027-01-01T00:00:00.009999999Z',
    '2026-08-03T01:14:29.5Z',
    '2026-08-03T01:14:29Z',
    '2026-08-03T01:14:29.502328455+00:00',
  ])
    expect([text, timeOf(text)]).toEqual([text, Date.parse(text)])
})

it('gives NaN for anything else', () => {
  const timeOf = setUp()
  for (const odd of [null, 1754183669, '', 'yesterday', '2026-13-03T01:14:29.502328455Z'])
    expect([odd, timeOf(odd)]).toEqual([odd, Number.NaN])
  expect(timeOf('2026-08-03T01:14:2x.502328455Z')).toBeNaN()
  expect(timeOf('2026-08-03T01:1x:29.502328455Z')).toBeNaN()
  expect(createClockReader()(Buffer.alloc(0), -1, -1)).toBeNaN()
})
