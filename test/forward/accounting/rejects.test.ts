import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createCounters, losses, lost } from '../../../src/forward/accounting/counters.ts'
import {
  createRejectLog,
  excerpt,
  REJECTS,
  type RejectReason,
} from '../../../src/forward/accounting/rejects.ts'
import { logSummary } from '../../../src/forward/summary.ts'
import { createMetrics } from '../../../src/forward/telemetry/metrics.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { createVirtualTime } from '../../simulation/virtual-clock.ts'
import { measured } from '../../support/measured.ts'
import { recordingLog } from '../../support/recording-log.ts'
import { parseSamples } from '../../support/scrape.ts'

describe('the log of rejects', () => {
  it('has one line a reason in ten seconds, with how many it suppressed', () => {
    const time = createVirtualTime()
    const { log, lines } = recordingLog()
    const reject = createRejectLog(log, time.clockFor())
    for (let n = 0; n < 5; n++) reject('invalid_json', () => ({ excerpt: `line ${n}` }))
    reject('too_long', () => ({}))
    time.at(10_000, () => {})
    time.next()
    for (let n = 5; n < 8; n++) reject('invalid_json', () => ({ excerpt: `line ${n}` }))
    expect(lines).toMatchObject([
      { reason: 'invalid_json', excerpt: 'line 0', suppressed: 0, level: 40 },
      { reason: 'too_long', suppressed: 0 },
      { reason: 'invalid_json', excerpt: 'line 5', suppressed: 4 },
    ])
    expect(lines).toHaveLength(3)
  })

  it('shows bytes as printable ASCII, and no more than 80 of them', () => {
    const text = Buffer.from('a\x1b[31m"\\\u202e\xff\x7f\n')
    expect(excerpt(text)).toBe('a\\x1b[31m"\\\\\\xe2\\x80\\xae\\xc3\\xbf\\x7f\\x0a')
    expect(excerpt(Buffer.from('x'.repeat(81)))).toBe(`${'x'.repeat(80)}…`)
  })
})

const REASONS = (['reading', 'delivery'] as const).flatMap((at) =>
  Object.entries<{ log: string; lost?: string }>(REJECTS[at]).map(
    ([reason, { lost }]) => [reason, { at, lost }] as const,
  ),
)

/** As a contributor adds a reason: a row, and nothing else. */
describe.each([
  ['delivery', 'moon_phase', 'refused by the moon'],
  ['reading', 'bad_omen', undefined],
] as const)('a reason at %s that is added to the table', (at, name, why) => {
  Object.assign(REJECTS[at], { [name]: { lost: why, log: `rejected: ${name}`, meaning: name } })
  const reason = name as RejectReason
  const counters = createCounters()
  counters.read = 5
  counters.delivered = 3
  counters.rejected[reason] += 2
  if (at === 'reading') counters.rejectedLines[reason as 'too_long'] += 2
  const count = why === undefined ? 0 : 2

  it('is counted, and lost where the row has a reason', () => {
    expect(lost(counters)).toBe(count)
    expect(losses(counters)).toEqual(why === undefined ? [] : [[2, why]])
  })

  it('is in the last line of the log', () => {
    const { log, lines } = recordingLog()
    logSummary(log, counters, false)
    const msg = why ? `done: 2 alerts were lost (2 ${why})` : 'done: all alerts were delivered'
    expect(lines).toMatchObject([{ msg, rejected: 2, reasons: { [name]: 2 }, left: 0 }])
  })

  it('is logged by its own text', () => {
    const { log, lines } = recordingLog()
    createRejectLog(log, systemClock)(reason, () => ({}))
    expect(lines).toMatchObject([{ reason: name, msg: `rejected: ${name}` }])
  })

  it('is in the metrics, and no line that was rejected counts as an alert', async () => {
    const text = await createMetrics(() => measured({ counters }))()
    const samples = parseSamples(text.toString())
    expect(samples.get(`falco_nats_alerts_rejected_total{reason="${name}"}`)).toBe(2)
    const isLine = at === 'reading'
    expect(samples.get(`falco_nats_lines_read_total{result="${name}"}`)).toBe(
      isLine ? 2 : undefined,
    )
    expect(samples.get('falco_nats_lines_read_total{result="alert"}')).toBe(isLine ? 3 : 5)
  })
})

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

/** Whether an expression of PromQL counts rejects with this reason. */
function counts(text: string, reason: string): boolean {
  const selectors = text.matchAll(/alerts_rejected_total\{[^}]*?reason(=~|!~|=)\\?"([^"\\]*)/g)
  return [...selectors].some(([, operator, names]) => {
    const isNamed = names!.split('|').includes(reason)
    return operator === '!~' ? !isNamed : isNamed
  })
}

describe.each(REASONS)('%s', (reason, { at, lost }) => {
  it('raises the alert of its kind, and no other', () => {
    const rules = read('deploy/prometheus/rules.yaml').split('- alert: ').slice(1)
    const raised = rules.filter((rule) => counts(rule, reason)).map((rule) => /^\w+/.exec(rule)![0])
    const expected =
      at === 'delivery'
        ? 'FalcoNatsAlertsRefused'
        : lost === undefined
          ? 'FalcoNatsRejectsRising'
          : 'FalcoNatsAlertsDropped'
    expect(raised).toEqual([expected])
  })

  it('is a loss on the dashboard where it is one', () => {
    expect(counts(read('deploy/grafana/falco-nats.json'), reason)).toBe(lost !== undefined)
  })
})

it('has its advice in the runbook for each reason at which NATS refuses', () => {
  const rows = read('README.md').split('\n')
  const advice = rows.find((row) => row.startsWith('| `FalcoNatsAlertsRefused`'))
  for (const [reason, { at }] of REASONS)
    if (at === 'delivery') expect(advice).toContain(`\`${reason}\``)
})
