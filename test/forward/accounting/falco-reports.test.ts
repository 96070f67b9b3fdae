import { describe, expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import {
  createFalcoReports,
  isFresh,
  reportOf,
} from '../../../src/forward/accounting/falco-reports.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { fixture, linesOf } from '../../support/fixtures.ts'
import { recordingLog } from '../../support/recording-log.ts'

/** As Falco 0.44.1 wrote them. */
const [DROPS, METRICS] = linesOf(fixture('internal-alerts.jsonl')) as [Buffer, Buffer]
const EVENTS = 'falco.evts_rate_sec'
const TIME = Date.UTC(2026, 10, 22)

/** What Falco reports, at a time that the test moves on. */
function setUp() {
  const counters = createCounters()
  const { log, lines } = recordingLog()
  const time = { ms: 0 }
  const reports = createFalcoReports(log, { ...systemClock, now: () => time.ms }, counters)
  const take = (report: 'drops' | 'metrics' | 'other', line: Buffer | object, at = TIME) => {
    const bytes = Buffer.isBuffer(line) ? line : Buffer.from(JSON.stringify(line))
    reports.take(report, at, bytes, 0, bytes.length)
  }
  const alert = (fields: unknown) => ({ priority: 'Debug', rule: 'r', output_fields: fields })
  return {
    counters,
    lines,
    time,
    reports,
    take,
    drops: (n_drops: unknown) => take('drops', alert({ n_drops })),
    metrics: (fields: object, at?: number) =>
      take('metrics', alert({ 'evt.source': 'syscall', ...fields }), at),
  }
}

describe('reportOf', () => {
  const internal = { priority: 'Debug', source: 'internal' }

  it.each([
    ['syscall event drop', 'drops'],
    ['metrics snapshot', 'metrics'],
    ['hot restart failure', 'other'],
    ['timeouts notification', 'other'],
    ['anything a later Falco may add', 'other'],
  ])('knows "Falco internal: %s"', (name, report) => {
    expect(reportOf({ ...internal, rule: `Falco internal: ${name}` })).toBe(report)
  })

  it.each([
    ['a rule of that name', { source: 'syscall' }],
    ['no source', { source: undefined }],
    ['a source that is no text', { source: ['internal'] }],
    ['another case', { rule: 'falco internal: syscall event drop' }],
    ['the name behind another', { rule: 'x Falco internal: syscall event drop' }],
    ['no blank', { rule: 'Falco internal:syscall event drop' }],
  ])('takes %s for an alert like any other', (_, some) => {
    const rule = 'Falco internal: syscall event drop'
    expect(reportOf({ ...internal, rule, ...some })).toBeUndefined()
  })
})

describe('drop alerts', () => {
  it('are counted by what Falco dropped', () => {
    const { take, drops, counters } = setUp()
    take('drops', DROPS)
    expect(counters.falcoDrops).toBe(1)
    drops('41')
    drops(8)
    expect(counters).toMatchObject({ falcoDrops: 50, malformedReports: 0 })
  })

  it('have one line in the log in 30 seconds, with the sum since the last', () => {
    const { drops, lines, time } = setUp()
    for (const ms of [0, 1, 29_999, 30_000, 30_001, 70_000]) {
      time.ms = ms
      drops('5')
    }
    const message = 'Falco dropped system calls: it is partly blind'
    expect(lines).toEqual([5, 15, 10].map((dropped) => ({ level: 40, dropped, msg: message })))
  })

  it.each([
    ['no number', undefined],
    ['text', 'many'],
    ['an empty text', ''],
    ['a negative number', '-3'],
    ['what 64 bits make of one', '18446744073709551615'],
    ['a hexadecimal number', '0x10'],
    ['null', null],
    ['an object', { toString: 'x' }],
  ])('count as one drop, and as malformed, with %s', (_, value) => {
    const { drops, counters, lines } = setUp()
    drops(value)
    expect(counters).toMatchObject({ falcoDrops: 1, malformedReports: 1 })
    expect(lines).toMatchObject([{ dropped: 1 }])
  })
})

describe('metrics snapshots', () => {
  it('are kept by event source, the last of each', () => {
    const { take, metrics, reports, counters, time } = setUp()
    take('metrics', METRICS)
    const { [EVENTS]: eventsPerSecond } = JSON.parse(String(METRICS)).output_fields
    expect(eventsPerSecond).toBeGreaterThan(0)
    const first = { time: TIME, readAt: 0, eventsPerSecond, kernelDrops: 0, queueDrops: 0 }
    expect([...reports.snapshots()]).toEqual([['syscall', first]])
    time.ms = 5_000
    metrics({ 'scap.n_drops': 7 }, TIME + 5_000)
    metrics({ 'evt.source': 'k8s_audit', 'falco.outputs_queue_num_drops': 2 })
    expect([...reports.snapshots()]).toEqual([
      ['syscall', { time: TIME + 5_000, readAt: 5_000, kernelDrops: 7 }],
      ['k8s_audit', { time: TIME, readAt: 5_000, queueDrops: 2 }],
    ])
    expect(counters.malformedReports).toBe(0)
  })

  it('are fresh for three hours', () => {
    const { take, reports } = setUp()
    take('metrics', METRICS)
    const [snapshot] = reports.snapshots().values()
    expect(isFresh(snapshot!, 3 * 3_600_000 - 1)).toBe(true)
    expect(isFresh(snapshot!, 3 * 3_600_000)).toBe(false)
  })

  it.each([
    ['without a source', { 'evt.source': undefined }],
    ['with a source that is no text', { 'evt.source': 5 }],
    ['with an empty source', { 'evt.source': '' }],
    ['with a long source', { 'evt.source': 's'.repeat(65) }],
    ['with a source that is no Unicode', { 'evt.source': '\ud800' }],
  ])('%s are ignored, and counted', (_, fields) => {
    const { metrics, reports, counters } = setUp()
    metrics(fields)
    expect(reports.snapshots().size).toBe(0)
    expect(counters.malformedReports).toBe(1)
  })

  it('lose a number that is none, and nothing else', () => {
    const { metrics, reports, counters } = setUp()
    metrics({ [EVENTS]: 'x', 'scap.n_drops': [3], 'falco.outputs_queue_num_drops': 4 })
    expect([...reports.snapshots().values()]).toEqual([{ time: TIME, readAt: 0, queueDrops: 4 }])
    expect(counters.malformedReports).toBe(2)
  })

  it('are ignored without a time, and without fields', () => {
    const { take, metrics, reports, counters } = setUp()
    metrics({}, Number.NaN)
    for (const fields of [undefined, null, 'text', [1]])
      take('metrics', { priority: 'p', rule: 'r', output_fields: fields })
    expect([reports.snapshots().size, counters.malformedReports]).toEqual([0, 5])
  })

  it('are kept of the 16 sources that were updated last', () => {
    const { metrics, reports, counters } = setUp()
    const names = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => `source-${from + n}`)
    const update = (sources: string[]) => {
      for (const source of sources) metrics({ 'evt.source': source })
    }
    const kept = () => [...reports.snapshots().keys()]
    update(names(0, 16))
    update(['syscall'])
    expect(kept()).toEqual([...names(1, 16), 'syscall'])
    // An update counts, not when a source first came.
    update(['source-3', ...names(16, 20)])
    expect(kept()).toEqual([...names(6, 16), 'syscall', 'source-3', ...names(16, 20)])
    expect(counters.malformedReports).toBe(0)
  })
})

it('leaves other internal alerts alone', () => {
  const { take, counters, lines } = setUp()
  take('other', DROPS)
  take('other', Buffer.from('not JSON'))
  expect([counters.falcoDrops, counters.malformedReports, lines]).toEqual([0, 0, []])
})
