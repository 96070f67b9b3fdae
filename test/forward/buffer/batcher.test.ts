import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createCounters,
  held,
  lost,
  totalRejected,
} from '../../../src/forward/accounting/counters.ts'
import { createBatcher } from '../../../src/forward/buffer/batcher.ts'
import { type Batch, createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { payloadAt, subjectAt } from '../../../src/forward/encoding/messages.ts'
import { indexBy } from '../../../src/forward/encoding/structural-index.ts'
import { type Alert, PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { parseTemplate, subjectOf } from '../../../src/shared/alert/subject.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { createNotifier } from '../../../src/shared/notifier.ts'
import { alertLines, fixture, numberedAlert } from '../../support/fixtures.ts'

const template = parseTemplate('falco.<priority>.<rule>')
const subjectFor = (alert: Alert) => subjectOf(template, alert)

function setUp({
  batchBytes = 1024 * 1024,
  minPriority = 7,
  dropInternal = false,
  maxLineBytes = 1024 * 1024,
  encoder = createEncoder(subjectFor),
} = {}) {
  const counters = createCounters()
  const pool = createBatchPool(batchBytes)
  const rejects: string[] = []
  const reports: string[] = []
  const intake = createBatcher({
    pool,
    readBytes: Math.min(64 * 1024, batchBytes >> 1),
    maxLineBytes,
    minPriority,
    dropInternal,
    encoder,
    counters,
    events: undefined,
    stateChanged: createNotifier(),
    clock: systemClock,
    onReject: (reason, bytes, length, error) =>
      rejects.push(`${reason} ${length} ${bytes.toString('latin1', 0, 40)}${error ?? ''}`),
    onReport: (report, time, bytes, start, end) =>
      reports.push(`${report} ${time} ${bytes.toString('latin1', start, end)}`),
  })
  return { intake, counters, rejects, reports, pool }
}

function failing(alert: Alert): string {
  if (alert.rule === 'bad') throw new Error('broken')
  return subjectFor(alert)
}

/** Of a bad alert they break when some of it has been copied. */
function brokenHeaders({ rule }: Alert): Buffer {
  const headers = Buffer.from('NATS/1.0\r\n\r\n')
  if (rule !== 'bad') return headers
  const copy = () => {
    throw new Error('broken')
  }
  const broken = Object.defineProperty({ length: headers.length, copy }, 3, { get: copy })
  return broken as unknown as Buffer
}

const contents = (batch: Batch) =>
  Array.from({ length: batch.count }, (_, index) => ({
    subject: subjectAt(batch, index).toString(),
    line: payloadAt(batch, index).toString('latin1'),
  }))

/** Everything that comes out of chunks, whatever the batches. */
async function through(chunks: Buffer[], options = {}) {
  const set = setUp(options)
  const alerts: { subject: string | undefined; line: string }[] = []
  const reading = (async () => {
    for (const chunk of chunks) if (!set.intake.write(chunk)) await set.intake.room()
    set.intake.end()
  })()
  for await (const batch of set.intake.batches({ wants: () => true })) {
    alerts.push(...contents(batch))
    set.pool.giveBack(batch)
  }
  await reading
  set.counters.delivered = alerts.length
  return { ...set, alerts }
}

describe('createBatcher', () => {
  it('gives what is there when it is asked, in one batch', async () => {
    const { intake, pool } = setUp()
    const batches = intake.batches({ wants: () => true })
    intake.write(Buffer.from(`${numberedAlert(1)}\n${numberedAlert(2)}\n`))
    const first = (await batches.next()).value!
    expect(contents(first)).toEqual(
      [1, 2].map((n) => ({
        subject: 'falco.notice.terminal_shell_in_container',
        line: numberedAlert(n),
      })),
    )
    const second = batches.next()
    intake.write(Buffer.from(`${numberedAlert(3)}\n`))
    expect((await second).value!.count).toBe(1)
    pool.giveBack(first)
    intake.end()
    expect((await batches.next()).done).toBe(true)
  })

  it('says when it is full, and when there is room again', async () => {
    const { intake } = setUp({ batchBytes: 8192 })
    const chunk = Buffer.from(`${numberedAlert(1).padEnd(1400)}\n`)
    expect(intake.write(chunk)).toBe(true)
    expect(intake.write(chunk)).toBe(false)
    let room = false
    const waiting = intake.room().then(() => {
      room = true
    })
    await Promise.resolve()
    expect(room).toBe(false)
    expect((await intake.batches({ wants: () => true }).next()).value!.count).toBe(2)
    await waiting
  })

  it('does not have the next batch written while one is handed over', async () => {
    const { intake } = setUp()
    const partial: number[] = []
    const batches = intake.batches({
      wants: () => true,
      writePartial: (batch) => partial.push(batch.count) === 0,
    })
    const first = batches.next()
    intake.write(Buffer.from(`${numberedAlert(1)}\n`))
    await first
    intake.write(Buffer.from(`${numberedAlert(2)}\n`))
    expect(partial).toEqual([1])
    await batches.next()
    const third = batches.next()
    intake.write(Buffer.from(`${numberedAlert(3)}\n`))
    await third
    expect(partial).toEqual([1, 1])
  })

  it('keeps every batch within its limit, or to one alert that alone is larger', async () => {
    const lines = alertLines()
    const chunks = lines.map((line) => Buffer.concat([line, Buffer.from('\n')]))
    const { intake } = setUp({ batchBytes: 16 * 1024 })
    let most = 0
    let count = 0
    const reading = (async () => {
      for (const chunk of chunks) if (!intake.write(chunk)) await intake.room()
      intake.end()
    })()
    for await (const batch of intake.batches({ wants: () => true })) {
      most = Math.max(most, batch.used)
      count += batch.count
      // Let the writer run until it is full.
      for (let i = 0; i < 100; i++) await Promise.resolve()
    }
    await reading
    expect(count).toBe(300)
    expect(most).toBeGreaterThan(4 * 1024)
    expect(most).toBeLessThanOrEqual(16 * 1024)
  })

  it('accounts for every line of a mixed stream', async () => {
    const { alerts, counters, rejects } = await through([fixture('stdout-mixed.log')])
    // 16 lines that are an alert, and one with two alerts that lack the newline between them.
    expect(alerts).toHaveLength(18)
    expect(counters.read).toBe(alerts.length + rejects.length)
    expect(held(counters)).toBe(0)
    expect(counters.rejected).toMatchObject({ not_an_alert: 10, invalid_json: 38, too_long: 0 })
    expect(alerts.map(({ subject }) => subject)).toContain('falco.error.last_line_without_newline')
    expect(alerts.map(({ subject }) => subject)).toContain('falco.warning.second')
  })

  it('costs a glued line its fragment, not the alert behind it', async () => {
    const { alerts, rejects, counters } = await through([
      Buffer.from(
        `${numberedAlert(1)}\n{"hostname":"a","outp${numberedAlert(2)}\n${numberedAlert(3)}\n`,
      ),
    ])
    expect(alerts.map(({ line }) => line)).toEqual([1, 2, 3].map((n) => numberedAlert(n)))
    expect(rejects).toEqual(['invalid_json 21 {"hostname":"a","outp'])
    expect(counters.read).toBe(4)
  })

  it('ignores blank lines and drops the CR of a line', async () => {
    const { alerts, counters } = await through([
      Buffer.from(`\n \t \r\n\r\n${numberedAlert(1)}\r\n`),
    ])
    expect(alerts.map(({ line }) => line)).toEqual([numberedAlert(1)])
    expect(counters.read).toBe(1)
  })

  it('rejects a line that is too long, and takes the next', async () => {
    const { alerts, rejects } = await through(
      [Buffer.from(`${numberedAlert(1).padEnd(2000)}\n${numberedAlert(2)}\n`)],
      { maxLineBytes: 1000 },
    )
    expect(alerts.map(({ line }) => line)).toEqual([numberedAlert(2)])
    expect(rejects[0]).toMatch(/^too_long 2000 \{"output_fields"/)
  })

  it('drops and counts what is below the least priority, whatever the case', async () => {
    const alert = (priority: string) => `${JSON.stringify({ priority, rule: 'r' })}\n`
    const given = ['Emergency', 'WARNING', 'notice', 'Debug', 'info', 'Severe']
    const { alerts, counters } = await through([Buffer.from(given.map(alert).join(''))], {
      minPriority: PRIORITIES.indexOf('warning'),
    })
    expect(alerts.map(({ subject }) => subject)).toEqual([
      'falco.emergency.r',
      'falco.warning.r',
      'falco.severe.r',
    ])
    expect(counters.filtered).toEqual([0, 0, 0, 0, 0, 1, 1, 1])
    expect(held(counters)).toBe(0)
  })

  describe("Falco's internal alerts", () => {
    const alert = (number: number, some = {}) => {
      const time = `2026-11-22T00:00:0${number}Z`
      const rule = 'Falco internal: syscall event drop'
      return JSON.stringify({ priority: 'Debug', rule, source: 'internal', time, ...some })
    }
    // From the third on, the kind is remembered.
    const internal = [1, 2, 3, 4].map((number) => alert(number))
    const like = [
      alert(5, { source: 'syscall' }),
      alert(6, { source: 'syscall', output_fields: { source: 'internal' } }),
      alert(7, { rule: 'A rule' }),
    ]
    const given = Buffer.from(`${[...internal, ...like].join('\n')}\n`)
    const warning = PRIORITIES.indexOf('warning')
    const expected = internal.map((line, index) => {
      const time = Date.UTC(2026, 10, 22, 0, 0, index + 1)
      return `drops ${time} ${line}`
    })

    it('pass whatever the least priority, and are reported', async () => {
      const { alerts, counters, reports } = await through([given], { minPriority: warning })
      expect(alerts.map(({ line }) => line)).toEqual(internal)
      expect(counters.filtered).toEqual([0, 0, 0, 0, 0, 0, 0, 3])
      expect(reports).toEqual(expected)
    })

    it('are dropped, counted and still reported when told to', async () => {
      const { alerts, counters, reports } = await through([given], { dropInternal: true })
      expect(alerts.map(({ line }) => line)).toEqual(like)
      expect(counters.filtered).toEqual([0, 0, 0, 0, 0, 0, 0, 4])
      expect(reports).toEqual(expected)
      expect(held(counters)).toBe(0)
    })
  })

  it('takes a line for what it is, whatever was in its place before, also by WebAssembly', async () => {
    indexBy('WebAssembly')
    const writes = [
      '{"x":1,"y":2,"priority":"Notice","rule":"R"}',
      '}\n',
      '{"rr":"","priority":"Notice","rule":"R"}\n',
      '{"x"',
      ':1\n',
    ]
    const { alerts, rejects } = await through(writes.map((text) => Buffer.from(text)))
    expect(alerts.map(({ line }) => line)).toEqual(['{"rr":"","priority":"Notice","rule":"R"}'])
    expect(rejects).toEqual([
      'invalid_json 45 {"x":1,"y":2,"priority":"Notice","rule":',
      'invalid_json 6 {"x":1',
    ])
  })

  it.each([
    ['the kind is worked out', { subjectFor: failing, headersFor: undefined }],
    ['it is copied', { subjectFor, headersFor: (alert: Alert) => brokenHeaders(alert) }],
  ])('rejects a line for which something is thrown when %s, and no other', async (_, broken) => {
    const encoder = createEncoder(broken.subjectFor, broken.headersFor)
    const [good, bad] = [numberedAlert(1), numberedAlert(2, 'bad')]
    const { alerts, rejects, counters } = await through(
      [Buffer.from(`${good}\n${bad}\n${good}\n{"outp${bad}${good}\n${bad}`)],
      { encoder },
    )
    expect(alerts.map(({ line }) => line)).toEqual([good, good, good])
    const reject = `internal_error ${bad.length} ${bad.slice(0, 40)}Error: broken`
    expect(rejects).toEqual([reject, 'invalid_json 6 {"outp', reject, reject])
    expect(counters).toMatchObject({ read: 7, rejected: { internal_error: 3 } })
    expect(counters.rejectedLines.internal_error).toBe(3)
    expect([held(counters), lost(counters)]).toEqual([0, 3])
  })

  it('makes no difference where the input is cut', async () => {
    const input = Buffer.concat([
      fixture('stdout-mixed.log').subarray(0, 12_000),
      Buffer.from('\n{"hostname":"a","outp'),
      fixture('alerts.jsonl').subarray(0, 20_000),
    ])
    const whole = await through([input])
    expect(whole.alerts.length).toBeGreaterThan(10)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(input.length), { maxLength: 400 }),
        fc.constantFrom(1024, 4096, 65536, 1024 * 1024),
        async (cuts, batchBytes) => {
          const places = [0, ...cuts.sort((a, b) => a - b), input.length]
          const chunks = places.slice(1).map((end, i) => input.subarray(places[i], end))
          const cut = await through(chunks, { batchBytes })
          expect(cut.alerts).toEqual(whole.alerts)
          expect(cut.rejects).toEqual(whole.rejects)
          expect(totalRejected(cut.counters)).toBe(totalRejected(whole.counters))
        },
      ),
      { numRuns: 200 },
    )
  })
})
