// Parsers of the values of options. Each throws an Error with the allowed values.

import { type Parser, parser } from './table.ts'
import { formatBytes, parseBytes, parseDuration } from './units.ts'

const textThat = (isAllowed: (text: string) => boolean, message: string) => (text: string) => {
  if (!isAllowed(text)) throw new Error(message)
  return text
}

export const nonEmpty = textThat((text) => text !== '', 'it must not be empty')

export const streamName = textThat(
  (text) => /^[!-~]{1,255}$/.test(text) && !/[.*>/\\]/.test(text),
  'allowed: a name in printable ASCII without blanks, dots, slashes, * and >',
)

export const subjectPrefix = textThat(
  (text) => /^[!-~]{1,128}$/.test(text) && !/[*>]/.test(text) && !text.split('.').includes(''),
  'allowed: a subject in printable ASCII without blanks, * and >',
)

export function oneOf<const T extends readonly string[]>(choices: T): Parser<T[number]> {
  return parser({ type: 'choice', choices }, (text) => {
    if (!choices.includes(text)) throw new Error(`allowed: ${choices.join(', ')}`)
    return text
  })
}

export function bytesWithin(min: number, max: number): Parser<number> {
  return parser({ type: 'bytes', min, max }, (text) => {
    const bytes = parseBytes(text)
    if (bytes === undefined || bytes < min || bytes > max)
      throw new Error(
        `allowed: a size from ${formatBytes(min)} to ${formatBytes(max)}, such as 65536 or 512KiB`,
      )
    return bytes
  })
}

export function duration(max: string): Parser<number> {
  return parser({ type: 'duration' }, (text) => {
    const milliseconds = text === '0' ? 0 : parseDuration(text)
    if (milliseconds === undefined || milliseconds > parseDuration(max)!)
      throw new Error(`allowed: a duration such as 500ms, 10s or 2m, up to ${max}`)
    return milliseconds
  })
}

export function wholeNumber(min: number, max: number): Parser<number> {
  return parser({ type: 'number', min, max }, (text) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= min && number <= max))
      throw new Error(`allowed: a whole number from ${min} to ${max}`)
    return number
  })
}

export type Address = NonNullable<ReturnType<typeof listenAddress>>

/** `off`, `:9376` (all addresses), `127.0.0.1:9376`, `[::1]:9376`; port 0 is any that is free. */
export function listenAddress(text: string) {
  if (text === 'off') return undefined
  const [, bracketed, plain, digits] =
    /^(?:\[([\da-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (!(port <= 65_535)) throw new Error('allowed: host:port, :port, [IPv6]:port, or off')
  return { text, host: bracketed ?? (plain || undefined), port }
}
