// Which pod and node an alert names. Null and missing name nothing, and nothing is guessed.

import { type Alert, outputField } from '../../shared/alert/alert.ts'
import { DNS_LABEL, isSubdomain } from './names.ts'

/** As the alert has it. */
export interface NamedPod {
  readonly namespace: string
  readonly name: string
}

export interface PodTarget extends NamedPod {
  /** The live pod's, since it was checked: every action names it, so that no other pod is hit. */
  readonly uid: string
  /** Undefined: not scheduled. */
  readonly nodeName: string | undefined
}

export type NodeTarget = Pick<PodTarget, 'name' | 'uid'>

/** What Falco writes in place of a value that it does not have; older ones do so in `output_fields` too. */
const NOTHING = new Set(['', '<NA>', 'N/A'])
/** Sources whose events happen on the host that the alert names. Old versions named none. */
const OF_HOST = new Set<unknown>(['syscall', 'syscalls', undefined, null, ''])

/** From `k8s.*` of system calls, else from `ka.*` of the audit log. */
export function podOf(alert: Alert): NamedPod | undefined {
  const found = findPod(alert)
  return found && { namespace: found.namespace, name: found.name }
}

/** With its source of events: only a system call has a container and a node as well. */
export function findPod(alert: Alert) {
  // Each pair as a whole: a namespace of one family and a name of another may be two pods.
  const pair = (family: 'k8s' | 'ka', namespaceField: string, nameField: string) => {
    const namespace = textField(alert, namespaceField)
    const name = subdomain(textField(alert, nameField))
    if (namespace === undefined || name === undefined) return undefined
    return DNS_LABEL.test(namespace) ? { namespace, name, family } : undefined
  }
  return (
    pair('k8s', 'k8s.ns.name', 'k8s.pod.name') ??
    pair('ka', 'ka.target.namespace', 'ka.target.pod.name') ??
    (textField(alert, 'ka.target.resource') === 'pods'
      ? pair('ka', 'ka.target.namespace', 'ka.target.name')
      : undefined)
  )
}

/** The node on which it happened. */
export function nodeOf(alert: Alert): string | undefined {
  const named = textField(alert, 'k8s.node.name')
  if (named !== undefined) return subdomain(named)
  // Of other sources it is the host that collects them: the API server's, a cloud's reader.
  const isOfHost = OF_HOST.has(alert.source) && !isOfAuditLog(alert)
  return isOfHost ? subdomain(textOf(alert.hostname)) : undefined
}

/** Also where an old Falco does not name its source. */
const isOfAuditLog = ({ output_fields: fields }: Alert) =>
  Object.keys(Object(fields)).some((name) => name.startsWith('ka.'))

/** As Falco shortens it, to 12 characters. Undefined: none is known, or it is no container. */
export function containerIdOf(alert: Alert): string | undefined {
  const id = textField(alert, 'container.id')
  return id === 'host' ? undefined : id
}

const textField = (alert: Alert, name: string) => textOf(outputField(alert, name))

const textOf = (value: unknown) =>
  typeof value === 'string' && !NOTHING.has(value) ? value : undefined

const subdomain = (text: string | undefined) =>
  text !== undefined && isSubdomain(text) ? text : undefined
