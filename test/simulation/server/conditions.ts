// What is wrong for a while, by kind: it ends by itself, without an event.

import type { Parameters } from '../fault.ts'

export type Conditions = ReturnType<typeof createConditions>

export function createConditions(now: () => number) {
  const conditions = new Map<string, { readonly until: number; readonly parameters: Parameters }>()

  /** Its parameters, while it lasts. */
  function get(kind: string): Parameters | undefined {
    if (conditions.size === 0) return undefined
    const condition = conditions.get(kind)
    if (condition && now() >= condition.until) conditions.delete(kind)
    return conditions.get(kind)?.parameters
  }

  return {
    get,
    /** A number of it, 0 while it does not last. */
    number: (kind: string, name: string): number => Number(get(kind)?.[name] ?? 0),
    /** From now on, for `ms`. A second one of a kind replaces the first. */
    begin(kind: string, ms: number, parameters: Parameters = {}): void {
      conditions.set(kind, { until: now() + ms, parameters })
    },
    end: (kind: string) => conditions.delete(kind),
    clear: () => conditions.clear(),
    any: () => [...conditions.keys()].some(get),
  }
}
