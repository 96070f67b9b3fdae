// What the steps that act upon pods and nodes share: a last look at the target, and a result for each way it can go.

import type { Node, Pod } from '../kubernetes/objects.ts'
import type { Done, StepContext } from './step.ts'

/** What is to be done to the target. */
interface Change {
  /** `delete the pod shop/cart-1` */
  readonly would: string
  readonly done: string
  /** False: the target is gone. */
  act(): Promise<boolean>
}

/** Finds what is to be done, if anything; `shown` is for people: `the pod shop/cart-1`. */
type Decide<Live> = (live: Live, shown: string) => Promise<Change | Done> | Change | Done

export async function changePod(context: StepContext, decide: Decide<Pod>): Promise<Done> {
  const { namespace, name } = context.pod!
  return change(context, await livePod(context), `the pod ${namespace}/${name}`, decide)
}

export async function changeNode(context: StepContext, decide: Decide<Node>): Promise<Done> {
  const { cluster, node, signal } = context
  const live = ifStill(node!.uid, await cluster().node(node!.name, signal))
  return change(context, live, `the node ${node!.name}`, decide)
}

async function change<Live>(
  { dryRun }: StepContext,
  live: Live | undefined,
  shown: string,
  decide: Decide<Live>,
): Promise<Done> {
  const gone = skipped(`${shown} is gone`)
  if (!live) return gone
  const decision = await decide(live, shown)
  if ('outcome' in decision) return decision
  if (dryRun) return { outcome: 'dry_run', detail: `would ${decision.would}` }
  return (await decision.act()) ? { outcome: 'ok', detail: decision.done } : gone
}

/** Undefined where it is gone since it was checked, even if another has its name now. */
export const livePod = async ({ cluster, pod, signal }: StepContext) =>
  ifStill(pod!.uid, await cluster().pod(pod!, signal))

const ifStill = <Live extends Pod | Node>(uid: string, live: Live | undefined) =>
  live?.metadata.uid === uid ? live : undefined

export const skipped = (detail: string): Done => ({ outcome: 'skipped', detail })

/** It is as it should be. */
export const already = ({ dryRun }: StepContext, detail: string): Done => ({
  outcome: dryRun ? 'dry_run' : 'ok',
  detail,
})
