// What Kubernetes takes for names, and for keys and values of labels and taints; and the name of our own namespace.

import { readFileSync } from 'node:fs'
import { z } from 'zod'

const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
/** Of a namespace. */
export const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Of a pod or node. */
export const isSubdomain = (text: string) => text.length <= 253 && SUBDOMAIN.test(text)

function isKey(text: string): boolean {
  const slash = text.indexOf('/')
  return (slash < 0 || isSubdomain(text.slice(0, slash))) && NAME.test(text.slice(slash + 1))
}

export const labelKey = z
  .string()
  .refine(
    isKey,
    'must be a name of up to 63 letters, digits, "-", "_" and ".", with a DNS name and "/" before it if need be',
  )

export const labelValue = z
  .string()
  .refine(
    (text) => text === '' || NAME.test(text),
    'must be up to 63 letters, digits, "-", "_" and ".", and begin and end with a letter or digit',
  )

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
