// run-job, upon a real API server.

import { describe, expect, it } from 'vitest'
import { runJob } from '../../../src/respond/steps/run-job.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { ID, run } from '../../support/step-context.ts'

const JOB = {
  metadata: { labels: { app: 'capture' } },
  spec: {
    backoffLimit: 0,
    template: { spec: { containers: [{ name: 'main', image: 'busybox' }] } },
  },
}

describe.skipIf(!hasKubernetes)('run-job', () => {
  const live = liveTargets()

  const jobs = (namespace: string) => live.kubernetes.list('job', namespace)

  it('runs it on the node, once for an alert', async () => {
    live.kubernetes.namespace('jobs-1')
    const { name, context, dry } = live.someNode()
    const params = { namespace: 'jobs-1', job: JOB }
    const would = await run(runJob, params, dry)
    expect(would.outcome).toBe('dry_run')
    expect(would.detail).toMatch(/^would run the job jobs-1\/falco-nats-on-call-[0-9a-f]{16} /)
    expect(jobs('jobs-1')).toEqual([])

    expect(await run(runJob, params, context)).toMatchObject({ outcome: 'ok' })
    const [job] = jobs('jobs-1')
    expect(job!.metadata).toMatchObject({
      name: expect.stringMatching(/^falco-nats-on-call-[0-9a-f]{16}$/),
      labels: { app: 'capture', 'app.kubernetes.io/managed-by': 'falco-nats' },
      annotations: { 'falco-nats.io/alert': ID },
    })
    expect(job!.spec).toMatchObject({ backoffLimit: 0, ttlSecondsAfterFinished: 3600 })
    expect(job!.spec.template.spec).toMatchObject({ nodeName: name, restartPolicy: 'Never' })

    expect((await run(runJob, params, context)).detail).toMatch(/is there already$/)
    expect(jobs('jobs-1')).toHaveLength(1)
    // Another step of the playbook, and another alert.
    const second = { ...JOB, metadata: { labels: { app: 'second' } } }
    await run(runJob, { ...params, job: second }, context)
    await run(runJob, params, { ...context, id: ID.toLowerCase(), playbook: 'x'.repeat(48) })
    expect(jobs('jobs-1')).toHaveLength(3)
  })

  it('runs it where we are, unless told', async () => {
    live.kubernetes.namespace('jobs-2')
    const { context } = live.someNode()
    process.env.POD_NAMESPACE = 'jobs-2'
    try {
      await run(runJob, { job: JOB }, context)
    } finally {
      delete process.env.POD_NAMESPACE
    }
    expect(jobs('jobs-2')).toHaveLength(1)
    await run(runJob, { job: JOB }, context)
    expect(jobs('default')).toHaveLength(1)
  })

  it('says what the API server does not like', async () => {
    const { context, dry } = live.someNode()
    const job = structuredClone<Manifest>(JOB)
    job.spec.template.spec.containers[0].imagePullPolice = 'Always'
    for (const each of [dry, context])
      await expect(run(runJob, { job }, each)).rejects.toMatchObject({
        message: expect.stringMatching(/^create jobs: .*imagePullPolice/),
        retryable: false,
      })
    await expect(run(runJob, { namespace: 'nowhere', job: JOB }, context)).rejects.toMatchObject({
      message: 'create jobs: namespaces "nowhere" not found',
      retryable: false,
    })
  })

  it.each([
    {},
    { job: {} },
    { job: { ...JOB, metadata: { name: 'mine' } } },
    { job: { ...JOB, metadata: { namespace: 'mine' } } },
    { job: { ...JOB, kind: 'Pod' } },
    { job: JOB, namespace: 'no/where' },
  ])('does not take %j', (params) => expect(runJob.params.safeParse(params).success).toBe(false))
})
