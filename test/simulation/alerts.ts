// The alerts of a scenario, each with a number of its own by which it is found again wherever it gets to.

import { PRIORITIES } from '../../src/shared/alert/alert.ts'

export interface AlertSpec {
  /** From 1, in the order in which Falco raises them. */
  readonly number: number
  /** When Falco raises it, in ms. */
  readonly at: number
  /** Index into PRIORITIES. */
  readonly severity: number
  /** Its rule is `Rule 3`, so its subject `falco.<priority>.rule_3`; 0 is an internal alert of Falco. */
  readonly rule: number
  /** Bytes of the line without its newline, or as many as the rest of it needs. */
  readonly length: number
}

const NUMBER = /"output":"alert (\d+) /

const INTERNAL = { name: 'Falco internal: syscall event drop', source: 'internal' }
const isInternal = ({ rule }: AlertSpec) => rule === 0

/** Whether the options let it pass. */
export const passes = (
  alert: AlertSpec,
  { minPriority, dropInternal }: { readonly minPriority: number; readonly dropInternal?: boolean },
): boolean => (isInternal(alert) ? !dropInternal : alert.severity <= minPriority)

export function lineOf(alert: AlertSpec): string {
  const { number, at, severity, rule, length } = alert
  const { name, source } = isInternal(alert)
    ? INTERNAL
    : { name: `Rule ${rule}`, source: 'syscall' }
  const time = new Date(Date.UTC(2026, 0, 1) + at).toISOString().replace('Z', '000000Z')
  const start = `{"hostname":"node-1","output":"alert ${number} `
  const end = `","priority":"${titleOf(severity)}","rule":"${name}","source":"${source}","tags":[],"time":"${time}"}`
  return start + 'x'.repeat(Math.max(0, length - start.length - end.length)) + end
}

export const subjectOf = (alert: AlertSpec): string => {
  const rule = isInternal(alert) ? 'falco_internal_syscall_event_drop' : `rule_${alert.rule}`
  return `falco.${PRIORITIES[alert.severity]}.${rule}`
}

const titleOf = (severity: number) =>
  PRIORITIES[severity]!.replace(/^./, (letter) => letter.toUpperCase())

/** The number of the alert in a line, or undefined where the line has none. */
export function numberIn(line: string): number | undefined {
  const number = NUMBER.exec(line)?.[1]
  return number === undefined ? undefined : Number(number)
}
