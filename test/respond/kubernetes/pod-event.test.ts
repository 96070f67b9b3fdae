// Events on pods of a real API server.

import { describe, expect, it } from 'vitest'
import { noteOnPod } from '../../../src/respond/kubernetes/pod-event.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { clusterAt, podManifest, podTarget } from '../../support/targets.ts'
import { soon } from '../../support/wait.ts'

describe.skipIf(!hasKubernetes)('noteOnPod', () => {
  const live = liveTargets()

  it('leaves an Event on the pod', async () => {
    const { namespace, target, context } = live.somePod()
    const note = { reason: 'FalcoNatsIsolatePod', message: `a\u202eb${'c'.repeat(2000)}` } as const
    await noteOnPod(live.cluster, target, { ...note, type: 'Warning' }, context.signal)
    const [event, ...others] = live.kubernetes.list('event', namespace)
    expect(others).toEqual([])
    expect(event).toMatchObject({
      involvedObject: { kind: 'Pod', namespace, name: 'web', uid: target.uid },
      reason: 'FalcoNatsIsolatePod',
      type: 'Warning',
      reportingComponent: 'falco-nats',
      message: expect.stringMatching(/^a\\u\{202e\}bc+\.{3}$/),
    })
  })

  it('may be forbidden to leave Events', async () => {
    const [pod] = live.kubernetes.apply(podManifest('default', 'noted'))
    const cluster = clusterAt(await live.kubernetes.userWith([]))
    const note = { reason: 'FalcoNats', message: 'text', type: 'Normal' } as const
    await expect(noteOnPod(cluster, podTarget(pod!), note, soon())).rejects.toThrow(
      /^create events: .*forbidden/,
    )
  })
})
