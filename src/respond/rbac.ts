// The permissions that playbooks need: those of their steps, and to look at what these act on.

import type { Plan } from './playbook/playbook.ts'
import type { RbacRule, TargetKind } from './steps/step.ts'

/** To check the target before anything is done, and to note on a pod what was done. */
const LOOKING: Readonly<Record<TargetKind, readonly RbacRule[]>> = {
  pod: [
    { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
  ],
  node: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get'] }],
  none: [],
}

/** One rule for each resource, sorted, with sorted verbs: the same plan always gives the same text. */
export function rulesFor({ playbooks }: Plan): RbacRule[] {
  const verbsOf = new Map<string, Set<string>>()
  const needed = playbooks
    .flatMap(({ steps }) => steps)
    .flatMap(({ step, params }) => [...LOOKING[step.target], ...step.rules(params)])
  for (const { apiGroups, resources, verbs } of needed)
    for (const group of apiGroups)
      for (const resource of resources) {
        const key = JSON.stringify([group, resource])
        verbsOf.set(key, new Set([...(verbsOf.get(key) ?? []), ...verbs]))
      }
  return [...verbsOf.keys()].sort().map((key) => {
    const [group, resource] = JSON.parse(key) as [string, string]
    return { apiGroups: [group], resources: [resource], verbs: [...verbsOf.get(key)!].sort() }
  })
}

/** The `rules:` of a Role or ClusterRole. JSON's lists are YAML's. */
export function rbacYaml(plan: Plan): string {
  const rules = rulesFor(plan).map((rule) => {
    const lines = Object.entries(rule).map(([key, texts]) => `${key}: ${listOf(texts)}\n`)
    return `  - ${lines.join('    ')}`
  })
  return rules.length === 0 ? 'rules: []\n' : `rules:\n${rules.join('')}`
}

const listOf = (texts: readonly string[]) =>
  `[${texts.map((text) => JSON.stringify(text)).join(', ')}]`
