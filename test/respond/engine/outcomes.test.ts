// What is reported of a step: on NATS, in the log, in the metrics, on the pod.

import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createRespondMetrics } from '../../../src/respond/engine/metrics.ts'
import { createOutcomes, type StepOutcome } from '../../../src/respond/engine/outcomes.ts'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import { startStandIn } from '../../support/api-server.ts'

const POD = { namespace: 'shop', name: 'web-1', uid: 'u', nodeName: 'node-1' }
const OUTCOME: StepOutcome = {
  playbook: 'p',
  step: 'delete-pod',
  outcome: 'ok',
  id: 'id',
  subject: 'falco.notice.r',
  alert: { rule: 'R', priority: 'Notice' },
  durationMs: 12.4,
  text: 'deleted',
  dryRun: false,
  delivery: 1,
}

function open(cluster: () => Cluster, publish?: () => never) {
  const published: { subject: string; event: Record<string, unknown> }[] = []
  const lines: Record<string, unknown>[] = []
  const connection = {
    publish:
      publish ??
      ((subject: string, payload: unknown) =>
        void published.push({ subject, event: JSON.parse(String(payload)) })),
  }
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const metrics = createRespondMetrics()
  return { ...createOutcomes({ connection, cluster, metrics, log }), published, lines, metrics }
}
const noCluster = (): never => {
  throw new Error('there is no cluster')
}

it.each([
  ['ok', 'detail', 30, 'a step is done'],
  ['skipped', 'detail', 30, 'a step was skipped'],
  ['dry_run', 'detail', 30, 'a step would be done (dry run)'],
  ['failed', 'error', 40, 'a step failed'],
] as const)(
  'reports %s in the event, the log and the metrics',
  async (outcome, key, level, msg) => {
    const { report, published, lines, metrics } = open(noCluster)
    report({ ...OUTCOME, outcome, delivery: 2, node: { name: 'node-2', uid: 'n' } })
    const same = { playbook: 'p', step: 'delete-pod', outcome, id: 'id', [key]: 'deleted' }
    const event = { ...same, durationMs: 12, delivery: 2, target: { node: 'node-2' } }
    expect(published).toMatchObject([{ subject: `falco.response.p.delete-pod.${outcome}`, event }])
    expect(lines).toMatchObject([{ ...same, level, msg, ms: 12, rule: 'R', node: 'node-2' }])
    const text = await metrics.text()
    expect(text).toContain(`steps_total{playbook="p",step="delete-pod",outcome="${outcome}"} 1`)
    expect(text).toContain('step_seconds_sum{step="delete-pod"} 0.0124')
  },
)

it('escapes and cuts what comes from outside', () => {
  const { report, published, lines } = open(noCluster)
  const alert = { rule: '\u202erule', priority: 'Notice' }
  report({ ...OUTCOME, alert, subject: 'falco.\u202e', text: `\u001b${'x'.repeat(1_000_000)}` })
  expect(published[0]?.event.detail).toMatch(/^\\u\{1b\}x+\.\.\.$/)
  expect(lines[0]).toMatchObject({ rule: '\\u{202e}rule', subject: 'falco.\\u{202e}' })
})

it('notes on the pod what was done or failed, and nothing else', async () => {
  const notes: { path: string; reason: string; message: string; type: string }[] = []
  await using api = await startStandIn(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    notes.push({ path: request.url, ...JSON.parse(body) })
    response.writeHead(201, { 'content-type': 'application/json' }).end('{}')
  })
  const { report, settled, published } = open(() => api.cluster)
  for (const outcome of ['ok', 'failed', 'skipped', 'dry_run'] as const)
    report({ ...OUTCOME, outcome, pod: POD })
  report(OUTCOME)
  await settled()
  expect(notes.map(({ type }) => type).sort()).toEqual(['Normal', 'Warning'])
  expect(notes.find(({ type }) => type === 'Normal')).toMatchObject({
    path: expect.stringContaining('/api/v1/namespaces/shop/events'),
    reason: 'FalcoResponse',
    message: 'falco-nats playbook p, step delete-pod: deleted',
  })
  const target = { namespace: 'shop', pod: 'web-1', node: 'node-1' }
  expect(published[0]?.event).toMatchObject({ target })
})

it('goes on where it can report nowhere', async () => {
  const { report, settled, lines } = open(noCluster, () => {
    throw new Error('closed')
  })
  report({ ...OUTCOME, pod: POD })
  await settled()
  expect(lines.map(({ msg }) => msg)).toEqual([
    'cannot publish an outcome',
    'a step is done',
    'cannot note it on the pod',
  ])
})
