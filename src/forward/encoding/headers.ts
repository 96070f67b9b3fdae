// The headers of an alert, as bytes that are ready to send.

import { hash } from 'node:crypto'
import { type Alert, type AlertField, textOf } from '../../shared/alert/alert.ts'
import { headerValue } from '../../shared/nats/header-value.ts'

export type Header = readonly [name: string, value: string]

const NAMES: readonly [AlertField, string][] = [
  ['rule', 'Falco-Rule'],
  ['priority', 'Falco-Priority'],
  ['source', 'Falco-Source'],
  ['hostname', 'Falco-Hostname'],
]
const ADDED_LENGTH_MAX = 1024
/** 22 characters of base64 are 132 bits. */
const ID_LENGTH = 22
/** What stands before the first header. */
export const VERSION_LINE = 'NATS/1.0\r\n'

export interface HeaderOptions {
  /** Whether the headers with the alert's own fields are wanted. */
  readonly falco: boolean
  /** The same on each alert; they come first. */
  readonly added: readonly Header[]
}

/** Undefined where there are none. */
export function headersOf({ falco, added }: HeaderOptions, alert: Alert): Buffer | undefined {
  const names = falco ? NAMES : []
  const own = names.map(([field, name]): Header => [name, textOf(alert, field)])
  const headers = [...added, ...own.filter(([, value]) => value !== '')]
  if (headers.length === 0) return undefined
  return Buffer.from(`${VERSION_LINE}${headers.map(headerLine).join('')}\r\n`, 'latin1')
}

const headerLine = ([name, value]: Header) => `${name}: ${headerValue(value)}\r\n`

/** `cluster=eu-1,node=n7` as headers. Throws an Error that says what is wrong. */
export function parseHeaders(text: string): Header[] {
  const headers = text.split(',').map((pair): Header => {
    const [, name, value] = /^([^=]*)=(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined)
      throw new Error('allowed: name=value, or several with commas between')
    if (!/^[!-9;-~]+$/.test(name))
      throw new Error('a name is printable ASCII without blank and colon')
    if (/^nats-/i.test(name)) throw new Error('names that begin with Nats- belong to NATS')
    if (/\p{Cc}/u.test(value)) throw new Error('a value has no line break or control character')
    return [name, value]
  })
  if (text.length > ADDED_LENGTH_MAX)
    throw new Error(`all together have at most ${ADDED_LENGTH_MAX} characters`)
  return headers
}

/**
 * One more header: the alert's id, by which a stream knows an alert that comes again, after a restart as well: a hash
 * of the line. Equal lines are the same event, since Falco's have a time in nanoseconds.
 */
export const messageIdLine = (payload: Buffer): string =>
  `Nats-Msg-Id: ${hash('sha256', payload, 'base64url').slice(0, ID_LENGTH)}\r\n`
export const MESSAGE_ID_LINE_LENGTH = 'Nats-Msg-Id: \r\n'.length + ID_LENGTH
