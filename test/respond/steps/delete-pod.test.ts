// delete-pod, upon a real API server.

import { describe, expect, it } from 'vitest'
import { deletePod } from '../../../src/respond/steps/delete-pod.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { run } from '../../support/step-context.ts'

describe.skipIf(!hasKubernetes)('delete-pod', () => {
  const live = liveTargets()

  it('deletes, with the grace that is asked for', async () => {
    const { namespace, context, dry, now } = live.somePod()
    expect(await run(deletePod, {}, dry)).toEqual({
      outcome: 'dry_run',
      detail: `would delete the pod ${namespace}/web`,
    })
    expect(now()!.metadata.deletionTimestamp).toBeUndefined()
    expect(await run(deletePod, { gracePeriodSeconds: 7 }, context)).toEqual({
      outcome: 'ok',
      detail: `deleted the pod ${namespace}/web`,
    })
    expect(now()!.metadata).toMatchObject({
      deletionTimestamp: expect.any(String),
      deletionGracePeriodSeconds: 7,
    })
    expect(await run(deletePod, {}, context)).toEqual({
      outcome: 'skipped',
      detail: `the pod ${namespace}/web is being deleted already`,
    })
  })

  it('finds it gone the second time', async () => {
    const { context, now } = live.somePod()
    expect(await run(deletePod, { gracePeriodSeconds: 0 }, context)).toMatchObject({
      outcome: 'ok',
    })
    expect(now()).toBeUndefined()
    expect(await run(deletePod, {}, context)).toMatchObject({
      outcome: 'skipped',
      detail: expect.stringContaining('is gone'),
    })
  })

  it('leaves what nothing would re-create, unless told', async () => {
    const { context, now } = live.somePod({ owned: false })
    expect(await run(deletePod, {}, context)).toMatchObject({
      outcome: 'skipped',
      detail: expect.stringContaining('evenStandalone'),
    })
    expect(now()!.metadata.deletionTimestamp).toBeUndefined()
    const params = { evenStandalone: true, gracePeriodSeconds: 0 }
    expect(await run(deletePod, params, context)).toMatchObject({ outcome: 'ok' })
    expect(now()).toBeUndefined()
  })

  it('leaves what a node runs from a file', async () => {
    const { context, now } = live.somePod({ annotations: { 'kubernetes.io/config.mirror': 'x' } })
    expect(await run(deletePod, { evenStandalone: true }, context)).toMatchObject({
      outcome: 'skipped',
      detail: expect.stringContaining('from a file'),
    })
    expect(now()!.metadata.deletionTimestamp).toBeUndefined()
  })

  it('leaves another pod of the same name, even where it comes in between', async () => {
    const { target, context, now, replace } = live.somePod()
    replace()
    expect(await run(deletePod, {}, context)).toMatchObject({ outcome: 'skipped' })
    const options = { gracePeriodSeconds: 0 }
    expect(await live.cluster.deletePod(target, options, context.signal)).toBe(false)
    expect(now()!.metadata.deletionTimestamp).toBeUndefined()
  })

  it.each([{ gracePeriodSeconds: -1 }, { gracePeriodSeconds: 1.5 }, { graceperiodseconds: 1 }])(
    'does not take %j',
    (params) => expect(deletePod.params.safeParse(params).success).toBe(false),
  )
})
