// Sessions with real servers, as the connector opens them, and what is outside of a process that opens them.

import { type ClientSession, openSession } from '../../src/forward/delivery/session.ts'
import { type Environment, systemEnvironment } from '../../src/forward/environment.ts'
import type { Config } from '../../src/forward/options.ts'
import { readCredentials } from '../../src/shared/nats/credentials.ts'
import type { CredentialOptions } from '../../src/shared/nats/options.ts'
import { parseServers } from '../../src/shared/nats/servers.ts'

export const IDENTITY = { name: 'test', inboxPrefix: '_INBOX' }

/** The real one; `options` name the files of credentials. */
export const environmentFor = (options: Partial<Config> = {}): Environment =>
  systemEnvironment({ connectionName: IDENTITY.name, ...options } as Config)

/** The URL may have a user; `options` name the files. Closed, and over, when the scope ends. */
export async function dial(
  url: string,
  options: Partial<CredentialOptions> = {},
  signal = new AbortController().signal,
): Promise<ClientSession & AsyncDisposable> {
  const [server] = parseServers(url)
  const credentials = readCredentials(options as CredentialOptions, server!)
  const session = await openSession(server!, credentials, IDENTITY, signal)
  // Its properties are read when they are asked for: the server may change them.
  return Object.defineProperty(session, Symbol.asyncDispose, {
    async value() {
      session.close()
      await session.closed
    },
  }) as ClientSession & AsyncDisposable
}
