// isolate-pod: cuts the pod of the alert off the network: our label on it, and one policy of ours that
// selects the label and allows nothing. What other policies allow to the pod is still allowed: Kubernetes
// adds them up.

import { z } from 'zod'
import { parseDuration } from '../../shared/options/units.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import {
  ISOLATED_LABEL,
  ISOLATED_UNTIL,
  MANAGED_BY,
  type Metadata,
  type NetworkPolicy,
} from '../kubernetes/objects.ts'
import { type Step, StepError } from './step.ts'
import { already, livePod, shownPod, skipped } from './target-steps.ts'

const params = z.strictObject({
  /** After which it is lifted, in ms. Undefined: never. */
  ttl: z
    .string()
    .refine((text) => (parseDuration(text) ?? 0) > 0, { error: 'must be a time such as 30m or 2h' })
    .transform((text) => parseDuration(text)!)
    .optional()
    .describe('none: until you lift it'),
})

const POLICY_NAME = 'falco-nats-isolate'
const POLICY_TYPES = ['Ingress', 'Egress'] as const
const [MANAGED_BY_LABEL] = Object.keys(MANAGED_BY) as [keyof typeof MANAGED_BY]

export const isolatePod: Step<z.infer<typeof params>> = {
  name: 'isolate-pod',
  params,
  target: 'pod',
  repeatable: true,
  rules: ({ ttl }) => [
    {
      apiGroups: [''],
      resources: ['pods'],
      verbs: ttl === undefined ? ['patch'] : ['list', 'patch'],
    },
    {
      apiGroups: ['networking.k8s.io'],
      resources: ['networkpolicies'],
      verbs: ['create', 'get'],
    },
  ],
  async run({ ttl }, context) {
    const { cluster, dryRun, signal } = context
    const target = context.pod!
    const shown = shownPod(context)
    const live = await livePod(context)
    if (!live) return skipped(`${shown} is gone`)
    if (live.spec.hostNetwork)
      return skipped(`${shown} uses the network of its node, which no NetworkPolicy cuts off`)
    // Without the policy the label would say what is not so.
    const hasPolicy = await hasOurPolicy(cluster(), target.namespace, signal)
    const until = untilWhen(live.metadata, ttl)
    const end = until === null ? '' : ` until ${until}`
    if (hasPolicy && isIsolated(live.metadata, until))
      return already(context, `${shown} is isolated already${end}`)
    if (dryRun) return { outcome: 'dry_run', detail: `would isolate ${shown}${end}` }
    if (!hasPolicy) await createPolicy(cluster(), target.namespace, signal)
    const labels = { [ISOLATED_LABEL]: 'true' }
    const annotations = { [ISOLATED_UNTIL]: until }
    const done = await cluster().patchPod(target, { metadata: { labels, annotations } }, signal)
    return done ? { outcome: 'ok', detail: `isolated ${shown}${end}` } : skipped(`${shown} is gone`)
  },
}

/** Null: for good. What another alert or playbook asked for is not cut short. */
function untilWhen(metadata: Metadata, ttl: number | undefined): string | null {
  const asked = ttl === undefined ? Number.POSITIVE_INFINITY : Date.now() + ttl
  const known =
    metadata.labels?.[ISOLATED_LABEL] === 'true'
      ? Date.parse(metadata.annotations?.[ISOLATED_UNTIL] ?? '')
      : 0
  // A time that nobody can read is never lifted either.
  const until = Math.max(asked, Number.isNaN(known) ? Number.POSITIVE_INFINITY : known)
  return Number.isFinite(until) ? new Date(until).toISOString() : null
}

function isIsolated({ labels = {}, annotations = {} }: Metadata, until: string | null): boolean {
  return labels[ISOLATED_LABEL] === 'true' && (annotations[ISOLATED_UNTIL] ?? null) === until
}

async function hasOurPolicy(
  cluster: Cluster,
  namespace: string,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await cluster.networkPolicy(namespace, POLICY_NAME, signal)
  if (!found || isDenyAll(found)) return found !== undefined
  throw new StepError(
    `the NetworkPolicy ${namespace}/${POLICY_NAME} is not as this step makes it, and so is left alone: the pod is not isolated`,
    { retryable: false },
  )
}

async function createPolicy(
  cluster: Cluster,
  namespace: string,
  signal: AbortSignal,
): Promise<void> {
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: POLICY_NAME, namespace, labels: MANAGED_BY },
    spec: {
      podSelector: { matchLabels: { [ISOLATED_LABEL]: 'true' } },
      policyTypes: POLICY_TYPES,
    },
  }
  if (await cluster.createNetworkPolicy(namespace, policy, signal)) return
  // Another replica was faster, or somebody else.
  await hasOurPolicy(cluster, namespace, signal)
}

/** Ours, and exactly what we would make. */
function isDenyAll({ metadata, spec }: NetworkPolicy): boolean {
  const labels = spec.podSelector?.matchLabels ?? {}
  return (
    metadata.labels?.[MANAGED_BY_LABEL] === MANAGED_BY[MANAGED_BY_LABEL] &&
    Object.keys(labels).length === 1 &&
    labels[ISOLATED_LABEL] === 'true' &&
    !spec.podSelector?.matchExpressions?.length &&
    POLICY_TYPES.every((type) => spec.policyTypes?.includes(type)) &&
    !spec.ingress?.length &&
    !spec.egress?.length
  )
}
