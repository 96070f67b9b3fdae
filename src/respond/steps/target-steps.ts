// What the steps that act upon pods and nodes have in common: a last look at the target, and what they say of it.

import type { Node, Pod } from '../kubernetes/objects.ts'
import type { Done, StepContext } from './step.ts'

/** Undefined where it is gone since it was checked, even if another has its name now. */
export async function livePod({ cluster, pod, signal }: StepContext): Promise<Pod | undefined> {
  const live = await cluster().pod(pod!, signal)
  return live?.metadata.uid === pod!.uid ? live : undefined
}

/** Likewise. */
export async function liveNode({ cluster, node, signal }: StepContext): Promise<Node | undefined> {
  const live = await cluster().node(node!.name, signal)
  return live?.metadata.uid === node!.uid ? live : undefined
}

/** For people: `the pod shop/cart-1`. */
export const shownPod = ({ pod }: StepContext) => `the pod ${pod!.namespace}/${pod!.name}`

export const shownNode = ({ node }: StepContext) => `the node ${node!.name}`

export const skipped = (detail: string): Done => ({ outcome: 'skipped', detail })

/** It is as it should be. */
export const already = ({ dryRun }: StepContext, detail: string): Done => ({
  outcome: dryRun ? 'dry_run' : 'ok',
  detail,
})
