// The namespace that we run in.

import { readFileSync } from 'node:fs'
import type { Plan } from '../playbook/playbook.ts'

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'

/** Where we run, if that is in a pod. */
export function ownNamespace(): string | undefined {
  if (process.env.POD_NAMESPACE) return process.env.POD_NAMESPACE
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}

/** What we act from is never acted upon. */
export function protectOurselves(plan: Plan): Plan {
  const own = ownNamespace()
  if (own === undefined) return plan
  return { ...plan, protectedNamespaces: [...new Set([...plan.protectedNamespaces, own])] }
}
