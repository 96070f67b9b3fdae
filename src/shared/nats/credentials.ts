// Credentials and certificates, read at every dial: a rotated secret needs no restart. Only the client gets them.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { createSecureContext } from 'node:tls'
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  type TlsOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats'
import { messageOf, UsageError } from '../errors.ts'
import type { CredentialOptions, NatsOptions } from './options.ts'
import type { Server } from './servers.ts'

export interface Credentials {
  readonly authenticator?: Authenticator
  /** Undefined: TLS only if the server asks for it. The certificate must be for `servername` or the address `host`. */
  readonly tls?: TlsOptions & { servername?: string; host?: string }
}

/** Refuses combinations that cannot work. Throws a UsageError. */
export function checkCredentialOptions(config: CredentialOptions): void {
  const ways = Object.entries({
    '--creds': config.creds,
    '--nkey': config.nkey,
    '--user': config.user,
    '--token-file or NATS_TOKEN': config.tokenFile ?? config.token,
  }).flatMap(([way, value]) => (value === undefined ? [] : way))
  if (ways.length > 1)
    throw new UsageError(`${ways.join(' and ')} are given; allowed: one of them (or its variable)`)
  if (config.passwordFile !== undefined && config.user === undefined)
    throw new UsageError('--password-file is given without --user; allowed: both or none')
  if ((config.tlscert === undefined) !== (config.tlskey === undefined))
    throw new UsageError('one of --tlscert and --tlskey is given; allowed: both or none')
}

/** For one dial of `server`. Throws an Error that names the option and the file, and never shows its content. */
export function readCredentials(config: CredentialOptions, server: Server): Credentials {
  const { tlsca, tlscert, tlskey, tlsfirst } = config
  const authenticator = readAuthenticator(config, server)
  const pems: { ca?: string; cert?: string; key?: string } = {}
  if (tlsca !== undefined) pems.ca = readText('--tlsca', tlsca)
  if (tlscert !== undefined) pems.cert = readText('--tlscert', tlscert)
  if (tlskey !== undefined) pems.key = readText('--tlskey', tlskey)
  const { ca, ...pair } = pems
  if (ca !== undefined) checkTls(`--tlsca ${tlsca}`, { ca })
  if (tlskey !== undefined) checkTls(`--tlscert ${tlscert} and --tlskey ${tlskey}`, pair)
  const useTls = server.tlsRequired || tlsfirst || Object.keys(pems).length > 0
  const tls = { ...pems, ...(tlsfirst && { handshakeFirst: true }), ...nameToExpect(server) }
  return { ...(authenticator && { authenticator }), ...(useTls && { tls }) }
}

/** What the certificate must be for; the client knows only names, and takes `localhost` for addresses. */
function nameToExpect({ certificateName, address }: Server): Credentials['tls'] {
  if (certificateName !== undefined) return { servername: certificateName }
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return isIP(host) ? { host } : {}
}

/** At the start a file that cannot be used is a bad option. Later it may be a rotation half done. */
export function checkCredentialFiles(config: CredentialOptions, servers: readonly Server[]): void {
  try {
    for (const server of servers) readCredentials(config, server)
  } catch (error) {
    throw new UsageError(`${messageOf(error)}; allowed: a file that we may read, of the right kind`)
  }
}

function readAuthenticator(config: CredentialOptions, server: Server): Authenticator | undefined {
  if (server.user !== undefined)
    return server.password === undefined
      ? tokenAuthenticator(server.user)
      : usernamePasswordAuthenticator(server.user, server.password)
  const { creds, nkey } = config
  if (creds !== undefined)
    return readSigner('--creds', creds, (text) => credsAuthenticator(Buffer.from(text)))
  if (nkey !== undefined)
    return readSigner('--nkey', nkey, (text) => nkeyAuthenticator(Buffer.from(text.trim())))
  const { user, passwordFile, tokenFile } = config
  if (user !== undefined) {
    const fromFile = passwordFile && readText('--password-file', passwordFile)
    return usernamePasswordAuthenticator(user, fromFile?.replace(/\r?\n$/, '') ?? config.password)
  }
  const token = (tokenFile && readText('--token-file', tokenFile).trim()) ?? config.token
  return token === undefined ? undefined : tokenAuthenticator(token)
}

/** The client would find out only inside its handshake, and close: sign something now. */
function readSigner(option: string, path: string, signerOf: (text: string) => Authenticator) {
  const authenticator = signerOf(readText(option, path))
  try {
    authenticator('nonce')
  } catch {
    throw new Error(`${option} ${path} does not hold what it should`)
  }
  return authenticator
}

/** The client would give the reason without the file, as OpenSSL has it. */
function checkTls(what: string, files: TlsOptions): void {
  try {
    createSecureContext(files)
    if (files.ca !== undefined) new X509Certificate(files.ca)
  } catch (error) {
    const mismatch = messageOf(error).includes('key values mismatch')
    throw new Error(`${what} ${mismatch ? 'do not belong together' : 'cannot be used'}`)
  }
}

/** What of ours has run out, by our clock: servers only report that they refuse it. */
export function expiredIn(config: CredentialOptions, now = Date.now()): string | undefined {
  const expired: string[] = []
  const note = (option: string, path: string, at: number) => {
    if (at <= now) expired.push(`${option} ${path} expired at ${new Date(at).toISOString()}`)
  }
  try {
    if (config.creds !== undefined) note('--creds', config.creds, jwtEnd(config.creds))
    if (config.tlscert !== undefined) {
      const { validTo } = new X509Certificate(readFileSync(config.tlscert))
      note('--tlscert', config.tlscert, Date.parse(validTo))
    }
  } catch {
    // Reading them for the dial has given the reason.
  }
  return expired.join(', ') || undefined
}

/** NaN: never. */
function jwtEnd(path: string): number {
  const claims = /^[\w-]+\.([\w-]+)\.[\w-]+\s*$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? ''
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).exp * 1000
}

/** An empty file is a rotation half done; the client would go without it, and trust other authorities. */
function readText(option: string, path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${option} ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (text === '') throw new Error(`${option} ${path} is empty`)
  return text
}

/** How the server lists the connection, and where it sends answers. */
export type Identity = ReturnType<typeof identityOf>

type IdentityOptions = Pick<NatsOptions, 'connectionName' | 'inboxPrefix'>

/** With a prefix the client asks for random bytes at once, and loads Node's cryptography for them: 1.2 MB. */
export const identityOf = ({ connectionName, inboxPrefix }: IdentityOptions, program: string) => ({
  name: connectionName ?? `${program}@${hostname()}`,
  ...(inboxPrefix !== undefined && { inboxPrefix }),
})
