// The namespace that we run in.

import { readFileSync } from 'node:fs'

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'

/** Undefined: we do not run in a pod. */
export function ownNamespace(): string | undefined {
  if (process.env.POD_NAMESPACE) return process.env.POD_NAMESPACE
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
