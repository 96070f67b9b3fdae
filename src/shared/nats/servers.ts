// The addresses of NATS servers, as written in options and as shown in logs.

import { printable } from '../errors.ts'

/** One server to dial. `shown` is its URL without secrets. */
export interface Server {
  /** `host:port`, IPv6 in brackets. */
  readonly address: string
  readonly shown: string
  /** `tls://`: TLS or nothing. With `nats://` the server decides. */
  readonly tlsRequired: boolean
  /** From `user:password@` or `token@` in the URL. */
  readonly user?: string
  readonly password?: string
  /** The name to expect in the certificate, when it is not the host in the address. */
  readonly certificateName?: string
}

/** Parses a comma-separated list. Throws an Error with what is allowed, and never the secrets. */
export function parseServers(text: string): readonly Server[] {
  const urls = text.split(',').map((part) => part.trim())
  return urls.filter((url) => url !== '' || urls.length === 1).map(parseServer)
}

function parseServer(text: string): Server {
  const [, scheme = 'nats', rest] = /^(?:(.*?):\/\/)?(.*)$/s.exec(text)!
  if (scheme !== 'nats' && scheme !== 'tls')
    throw new Error('allowed: nats://host:port or tls://host:port, comma-separated')
  // Any scheme that URL knows makes it check host and port; http would swallow port 80.
  const url = URL.parse(`ftp://${rest}`)
  if (!url) throw new Error('that is not a URL; an example is nats://nats.example.com:4222')
  if (!url.hostname || (url.pathname !== '/' && url.pathname !== '') || url.search || url.hash)
    throw new Error('a server is scheme, host and port only, such as nats://nats.example.com:4222')
  // ftp's own port, 21, is the one that URL leaves out when it is given.
  const port = url.port || (/:21\/?$/.test(rest!) ? '21' : '4222')
  const address = `${url.hostname}:${port}`
  const [user, password] = [url.username, url.password].map(decoded)
  return {
    address,
    shown: `${scheme}://${address}`,
    tlsRequired: scheme === 'tls',
    ...(user && { user }),
    ...(password && { password }),
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('in user and password, the characters % / , @ : must be percent-encoded')
  }
}

/** Announced `ip:port` that the user did not name; their certificates are for the host of the server that announced them. */
export function discoveredServers(
  known: readonly Server[],
  announcer: Server,
  addresses: readonly string[],
): Server[] {
  const host = announcer.certificateName ?? announcer.address.replace(/:\d+$/, '')
  return addresses
    .filter((address) => !known.some((server) => server.address === address))
    .map((address) => ({
      ...announcer,
      address,
      shown: printable(`${announcer.tlsRequired ? 'tls' : 'nats'}://${address}`),
      ...(/[a-z]/i.test(host) && !host.includes(':') && { certificateName: host }),
    }))
}
