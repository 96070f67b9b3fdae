// isolate-pod: cuts the pod of the alert off the network, with our label on it and a policy of ours that selects it and
// allows nothing. What other policies allow to the pod is still allowed: Kubernetes adds them up.

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { parseDuration } from '../../shared/options/units.ts'
import type { Metadata, NetworkPolicy } from '../kubernetes/objects.ts'
import { ISOLATED_LABEL, ISOLATED_UNTIL, MANAGED_BY } from '../kubernetes/objects.ts'
import { defineStep, type StepContext, StepError } from './step.ts'
import { already, changePod, skipped } from './target-steps.ts'

const NAME = 'falco-nats-isolate'
const SELECTED = { [ISOLATED_LABEL]: 'true' }
const POLICY_TYPES = ['Ingress', 'Egress']

export const isolatePod = defineStep({
  name: 'isolate-pod',
  params: z.strictObject({
    /** After which it is lifted, in ms. Undefined: never. */
    ttl: z
      .string()
      .transform((text) => parseDuration(text) ?? 0)
      .refine((ms) => ms > 0, 'must be a time such as 30m or 2h')
      .optional()
      .describe('none: until you lift it'),
  }),
  target: 'pod',
  repeatable: true,
  rules: ({ ttl }) => [
    { apiGroups: [''], resources: ['pods'], verbs: [...(ttl ? ['list'] : []), 'patch'] },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['create', 'get'] },
  ],
  run: ({ ttl }, context) =>
    changePod(context, async ({ metadata, spec }, shown) => {
      if (spec.hostNetwork)
        return skipped(`${shown} uses the network of its node, which no NetworkPolicy cuts off`)
      const hasPolicy = await hasOurPolicy(context)
      const until = untilWhen(metadata, ttl)
      const end = until === null ? '' : ` until ${until}`
      if (hasPolicy && isIsolated(metadata, until))
        return already(context, `${shown} is isolated already${end}`)
      return {
        would: `isolate ${shown}${end}`,
        done: `isolated ${shown}${end}`,
        async act() {
          // First, since the label alone isolates nothing.
          if (!hasPolicy) await createPolicy(context)
          const patch = { labels: SELECTED, annotations: { [ISOLATED_UNTIL]: until } }
          return context.cluster().patchPod(context.pod!, { metadata: patch }, context.signal)
        },
      }
    }),
})

/** Null: for good. What another alert or playbook asked for is not cut short. */
function untilWhen(metadata: Metadata, ttl: number | undefined): string | null {
  const asked = ttl === undefined ? Infinity : Date.now() + ttl
  const known = isLabelled(metadata) ? Date.parse(metadata.annotations?.[ISOLATED_UNTIL] ?? '') : 0
  // No time, and one that cannot be read, are for good as well.
  const until = Math.max(asked, Number.isNaN(known) ? Infinity : known)
  return Number.isFinite(until) ? new Date(until).toISOString() : null
}

const isLabelled = ({ labels }: Metadata) => labels?.[ISOLATED_LABEL] === 'true'

const isIsolated = (metadata: Metadata, until: string | null) =>
  isLabelled(metadata) && (metadata.annotations?.[ISOLATED_UNTIL] ?? null) === until

async function hasOurPolicy({ cluster, pod, signal }: StepContext): Promise<boolean> {
  const { namespace } = pod!
  const found = await cluster().networkPolicy(namespace, NAME, signal)
  if (!found || isOurs(found)) return found !== undefined
  const why = 'is not as this step makes it, and so is left alone: the pod is not isolated'
  throw new StepError(`the NetworkPolicy ${namespace}/${NAME} ${why}`, { retryable: false })
}

async function createPolicy(context: StepContext): Promise<void> {
  const { cluster, pod, signal } = context
  const { namespace } = pod!
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: NAME, namespace, labels: MANAGED_BY },
    spec: { podSelector: { matchLabels: SELECTED }, policyTypes: POLICY_TYPES },
  }
  // If another replica was faster, or another program.
  const isMade = await cluster().createNetworkPolicy(namespace, policy, signal)
  if (!isMade) await hasOurPolicy(context)
}

/** Made by us, and it selects our label alone and allows nothing. */
const isOurs = ({ metadata, spec }: NetworkPolicy) =>
  Object.entries(MANAGED_BY).every(([key, value]) => metadata.labels?.[key] === value) &&
  isDeepStrictEqual(spec.podSelector, { matchLabels: SELECTED }) &&
  POLICY_TYPES.every((type) => spec.policyTypes?.includes(type)) &&
  !spec.ingress?.length &&
  !spec.egress?.length
