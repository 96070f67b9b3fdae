import { describe, expect, it } from 'vitest'
import { createFalcoEvents, EVENT_LABELS } from '../../../src/forward/accounting/falco-events.ts'
import { type Alert, parseAlert, priorityIndex } from '../../../src/shared/alert/alert.ts'
import { alertLines } from '../../support/fixtures.ts'

type Labels = Record<(typeof EVENT_LABELS)[number], string>

function setUp(seriesMax: number) {
  const events = createFalcoEvents(seriesMax)
  return {
    events,
    count(given: object) {
      const alert = given as Alert
      const severity = priorityIndex(alert.priority) ?? 0
      events.count({ severity, series: undefined }, () => alert)
    },
    counts: () =>
      [...events.series().values()].map(({ values, count }) => ({
        ...(Object.fromEntries(
          EVENT_LABELS.map((label, index) => [label, values[index]]),
        ) as Labels),
        count,
      })),
    total: () => [...events.series().values()].reduce((sum, { count }) => sum + count, 0),
  }
}

const alertOf = (pod: unknown, more = {}) => ({
  priority: 'Notice',
  rule: 'Shell',
  output_fields: { 'k8s.ns.name': 'prod', 'k8s.pod.name': pod },
  ...more,
})

it('counts as falco-exporter did, whatever the alert lacks', () => {
  const { count, counts } = setUp(100)
  const full = {
    hostname: 'n1',
    priority: 'Warning',
    rule: 'Terminal shell in container',
    source: 'syscall',
    tags: ['container', 'shell'],
    output_fields: { 'k8s.ns.name': 'prod', 'k8s.pod.name': 'web-1', 'proc.name': 'sh' },
  }
  count(full)
  count({ ...full, priority: 'WARNING' })
  count({ priority: 'Critical', rule: 'Bare' })
  count({ ...full, source: null, hostname: 7, tags: 'container', output_fields: null })
  count(alertOf(null, { output_fields: { 'k8s.ns.name': null, 'k8s.pod.name': null } }))
  const labels = { hostname: '', source: '', tags: ',,', k8s_ns_name: '', k8s_pod_name: '' }
  expect(counts()).toEqual([
    {
      rule: 'Terminal shell in container',
      priority: '4',
      hostname: 'n1',
      source: 'syscall',
      tags: ',container,shell,',
      k8s_ns_name: 'prod',
      k8s_pod_name: 'web-1',
      count: 2,
    },
    { ...labels, rule: 'Bare', priority: '2', count: 1 },
    { ...labels, rule: 'Terminal shell in container', priority: '4', count: 1 },
    { ...labels, rule: 'Shell', priority: '5', count: 1 },
  ])
})

it('has no two series with the same labels, and loses none, on real alerts', () => {
  const { count, counts, total } = setUp(Number.POSITIVE_INFINITY)
  const alerts = alertLines().map((line) => parseAlert(line, 0, line.length) as Alert)
  for (const alert of alerts) count(alert)
  expect(total()).toBe(alerts.length)
  const keys = counts().map(({ count: _, ...labels }) => JSON.stringify(labels))
  expect(new Set(keys).size).toBe(keys.length)
})

describe('beyond the limit', () => {
  it('folds the pods that were not seen for the longest, and nothing gets lost', () => {
    const { events, count, counts, total } = setUp(10)
    for (let pod = 0; pod < 10; pod++) count(alertOf(`p${pod}`))
    for (let pod = 0; pod < 10; pod++) if (pod !== 3 && pod !== 5) count(alertOf(`p${pod}`))
    expect(events.folded()).toBe(0)
    count(alertOf('new'))
    // One series makes room, another is where it went.
    expect(counts().find(({ k8s_pod_name }) => k8s_pod_name === '')).toMatchObject({
      rule: 'Shell',
      k8s_ns_name: 'prod',
      count: 2,
    })
    const pods = counts().map(({ k8s_pod_name }) => k8s_pod_name)
    expect(pods).not.toContain('p3')
    expect(pods).not.toContain('p5')
    expect(pods).toContain('p4')
    expect([events.folded(), events.series().size, total()]).toEqual([2, 10, 19])
  })

  it('holds against anybody: rules, namespaces, hosts, tags, sources', () => {
    const { events, count, total } = setUp(50)
    for (let n = 0; n < 5000; n++)
      count({
        priority: ['Emergency', 'Debug', 'odd'][n % 3],
        rule: `r${n % 700}`,
        hostname: `h${n % 11}`,
        source: `s${n % 13}`,
        tags: [`t${n % 17}`],
        output_fields: { 'k8s.ns.name': `ns${n % 19}`, 'k8s.pod.name': n % 2 ? `p${n}` : '' },
      })
    expect(events.series().size).toBeLessThanOrEqual(50)
    expect(total()).toBe(5000)
    expect(events.folded()).toBeGreaterThan(1000)
  })

  it('folds no more than a scrape could see, and counts the rest where it would end', () => {
    const { events, count, counts, total } = setUp(10)
    for (let pod = 0; pod < 10_000; pod++) count(alertOf(`p${pod}`))
    expect(events.folded()).toBeLessThan(5_000)
    expect(events.series().size).toBeLessThanOrEqual(10)
    expect(counts().find(({ k8s_pod_name }) => k8s_pod_name === '')!.count).toBeGreaterThan(9_900)
    expect(total()).toBe(10_000)
  })

  it('finds a pod again that was folded and comes back', () => {
    const { count, counts } = setUp(10)
    for (let pod = 0; pod < 30; pod++) count(alertOf(`p${pod}`))
    count(alertOf('p0'))
    count(alertOf('p0'))
    expect(counts().find(({ k8s_pod_name }) => k8s_pod_name === 'p0')).toMatchObject({ count: 2 })
  })
})

it('keeps no long or broken text', () => {
  const { count, counts } = setUp(100)
  count(alertOf('x'.repeat(100_000), { rule: `\ud800${'r'.repeat(1000)}` }))
  const [series] = counts()
  expect(series!.k8s_pod_name).toHaveLength(256)
  expect(series!.rule).toMatch(/^\ufffdr{255}$/)
  count(alertOf('p', { tags: Array(1000).fill('t'.repeat(1000)) }))
  expect(counts()[1]!.tags!.length).toBeLessThan(5000)
})
