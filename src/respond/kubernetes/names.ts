// What Kubernetes takes for names, and for keys and values of labels and taints.

import { z } from 'zod'

const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/

/** Of a namespace. */
export const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Of a pod or node. */
export const isSubdomain = (text: string) => text.length <= 253 && SUBDOMAIN.test(text)

function isKey(text: string): boolean {
  const slash = text.indexOf('/')
  const prefix = text.slice(0, slash)
  if (slash >= 0 && !isSubdomain(prefix)) return false
  return NAME.test(text.slice(slash + 1))
}

export const labelKey = z.string().refine(isKey, {
  error:
    'must be a name of up to 63 letters, digits, "-", "_" and ".", with a DNS name and "/" before it if need be',
})

export const labelValue = z.string().refine((text) => text === '' || NAME.test(text), {
  error:
    'must be up to 63 letters, digits, "-", "_" and ".", and begin and end with a letter or digit',
})
