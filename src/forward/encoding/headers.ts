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
/** It stands before the first header. */
export const VERSION_LINE = 'NATS/1.0\r\n'

/** `falco`: the alert's own fields as well; `added` come first, the same on each alert. Undefined: there are none. */
export function headersOf(
  { falco, added }: { readonly falco: boolean; readonly added: readonly Header[] },
  alert: Alert,
): Buffer | undefined {
  const own = falco ? NAMES.map(([field, name]): Header => [name, textOf(alert, field)]) : []
  const headers = [...added, ...own.filter(([, value]) => value !== '')]
  if (headers.length === 0) return undefined
  const lines = headers.map(([name, value]) => `${name}: ${headerValue(value)}\r\n`)
  return Buffer.from(`${VERSION_LINE}${lines.join('')}\r\n`, 'latin1')
}

/** `cluster=eu-1,node=n7` as headers. Throws an Error with what is allowed. */
export function parseHeaders(text: string): Header[] {
  const headers = text.split(',').map((pair): Header => {
    const equals = pair.indexOf('=')
    if (equals < 0) throw new Error('allowed: name=value, or several with commas between')
    const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)]
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

/** By this header a stream knows a repeated alert. Equal lines are one event: Falco's have a time in nanoseconds. */
export const messageIdLine = (payload: Buffer): string =>
  `Nats-Msg-Id: ${hash('sha256', payload, 'base64url').slice(0, ID_LENGTH)}\r\n`
export const MESSAGE_ID_LINE_LENGTH = 'Nats-Msg-Id: \r\n'.length + ID_LENGTH
