// label-pod, upon a real API server.

import { describe, expect, it } from 'vitest'
import { labelPod } from '../../../src/respond/steps/label-pod.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { run } from '../../support/step-context.ts'

describe.skipIf(!hasKubernetes)('label-pod', () => {
  const live = liveTargets()

  it('sets labels and leaves the others', async () => {
    const { namespace, context, dry, now } = live.somePod({ labels: { app: 'web', seen: 'no' } })
    const params = { labels: { seen: 'yes', 'example.org/by': 'falco' } }
    expect(await run(labelPod, params, dry)).toEqual({
      outcome: 'dry_run',
      detail: `would label the pod ${namespace}/web with seen=yes, example.org/by=falco`,
    })
    expect(now()!.metadata.labels).toEqual({ app: 'web', seen: 'no' })
    expect(await run(labelPod, params, context)).toMatchObject({ outcome: 'ok' })
    expect(now()!.metadata.labels).toEqual({ app: 'web', ...params.labels })
    expect((await run(labelPod, params, context)).detail).toMatch(/already$/)
  })

  it.each([
    {},
    { labels: {} },
    { labels: { a: 'b c' } },
    { labels: { 'a/b/c': 'd' } },
    { labels: { '-a': 'b' } },
    { labels: { a: 'x'.repeat(64) } },
    { labels: { '/a': 'b' } },
    { labels: { a: 1 } },
  ])('does not take %j', (params) => expect(labelPod.params.safeParse(params).success).toBe(false))

  it('takes what Kubernetes takes', async () => {
    const { context, now } = live.somePod()
    const labels = { 'a.example.org/B_c-d.e': '', z9: 'X_y.z-0' }
    await run(labelPod, { labels }, context)
    expect(now()!.metadata.labels).toEqual(labels)
  })
})
