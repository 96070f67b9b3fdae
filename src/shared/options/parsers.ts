// Parsers of what people give to options. Each throws an Error that says what is allowed.

import { formatBytes, parseBytes, parseDuration } from './units.ts'

export function nonEmpty(text: string): string {
  if (text === '') throw new Error('it must not be empty')
  return text
}

export function oneOf<const T extends readonly string[]>(allowed: T) {
  return (text: string): T[number] => {
    if (!allowed.includes(text)) throw new Error(`allowed: ${allowed.join(', ')}`)
    return text
  }
}

export function bytesWithin(least: number, most: number) {
  return (text: string): number => {
    const bytes = parseBytes(text)
    if (bytes === undefined || bytes < least || bytes > most)
      throw new Error(
        `allowed: a size from ${formatBytes(least)} to ${formatBytes(most)}, such as 65536 or 512KiB`,
      )
    return bytes
  }
}

export function duration(most: string) {
  return (text: string): number => {
    const milliseconds = text === '0' ? 0 : parseDuration(text)
    if (milliseconds === undefined || milliseconds > parseDuration(most)!)
      throw new Error(`allowed: a duration such as 500ms, 10s or 2m, up to ${most}`)
    return milliseconds
  }
}

export function streamName(text: string): string {
  if (!/^[!-~]{1,255}$/.test(text) || /[.*>/\\]/.test(text))
    throw new Error('allowed: a name in printable ASCII without blanks, dots, slashes, * and >')
  return text
}

export function subjectPrefix(text: string): string {
  if (!/^[!-~]{1,128}$/.test(text) || /[*>]/.test(text) || text.split('.').includes(''))
    throw new Error('allowed: a subject in printable ASCII without blanks, * and >')
  return text
}

export function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= least && number <= most))
      throw new Error(`allowed: a whole number from ${least} to ${most}`)
    return number
  }
}

export interface Address {
  /** As it was given. */
  readonly text: string
  /** Undefined: all of this host's. */
  readonly host: string | undefined
  readonly port: number
}

/** `off`, `:9376`, `127.0.0.1:9376`, `[::1]:9376`; port 0 is any that is free. */
export function listenAddress(text: string): Address | undefined {
  if (text === 'off') return undefined
  const [, bracketed, plain, digits] =
    /^(?:\[([\da-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (!(port <= 65_535)) throw new Error('allowed: host:port, :port, [IPv6]:port, or off')
  return { text, host: bracketed ?? (plain || undefined), port }
}
