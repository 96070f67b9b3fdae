// The manifests in deploy/examples, and servers that are set up by them.

import { readFileSync } from 'node:fs'
import { type ConnectionOptions, nkeyAuthenticator, nkeys } from 'nats'
import { parseAllDocuments } from 'yaml'
import { fixture, fixturePath } from './fixtures.ts'
import { askJetStream } from './nats.ts'

export const exampleText = (name: string): string =>
  readFileSync(new URL(`../../deploy/examples/${name}`, import.meta.url), 'utf8')

/** The documents of a YAML file in deploy/examples. */
// biome-ignore lint/suspicious/noExplicitAny: a manifest is what it is; the tests say what they expect
export const example = (name: string): any[] =>
  parseAllDocuments(exampleText(name)).map((document) => document.toJS())

export interface Permissions {
  publish: { allow: string[] }
  subscribe: { allow: string[] }
}

/**
 * The account of nats-values.yaml with new keys, for a nats-server with TLS and JetStream; `change`
 * may alter what the forwarder is allowed, `changeResponder` what the responder is.
 */
export function exampleNats(
  change = (_: Permissions) => {},
  changeResponder = (_: Permissions) => {},
) {
  const [values] = example('nats-values.yaml')
  const keys = {
    FORWARDER_NKEY: nkeys.createUser(),
    RESPONDER_NKEY: nkeys.createUser(),
    ADMIN_NKEY: nkeys.createUser(),
  }
  const { accounts } = values.config.merge
  change(accounts.falco.users[0].permissions)
  changeResponder(accounts.falco.users[1].permissions)
  // The chart takes the quotes off <<…>>, so that the server looks the variable up.
  const text = JSON.stringify(accounts).replace(/"<< \$(\w+) >>"/g, (_, name) =>
    JSON.stringify(keys[name as keyof typeof keys].getPublicKey()),
  )
  const tls = (name: string) => fixturePath(`tls/${name}`)
  const ca = fixture('tls/ca.crt').toString()
  const admin: ConnectionOptions = {
    authenticator: nkeyAuthenticator(keys.ADMIN_NKEY.getSeed()),
    tls: { ca },
  }
  const seedOf = (name: keyof typeof keys) => new TextDecoder().decode(keys[name].getSeed())
  return {
    config: `jetstream { store_dir: js }
      tls { cert_file: "${tls('server.crt')}", key_file: "${tls('server.key')}", ca_file: "${tls('ca.crt')}" }
      accounts ${text}`,
    /** What the sidecars have, as in the Secret of the README. */
    secret: { 'nats.nk': seedOf('FORWARDER_NKEY'), 'ca.crt': ca },
    /** What the responder has. */
    respondSecret: { 'nats.nk': seedOf('RESPONDER_NKEY'), 'ca.crt': ca },
    admin,
    responder: { ...admin, authenticator: nkeyAuthenticator(keys.RESPONDER_NKEY.getSeed()) },
    forwarder: { ...admin, authenticator: nkeyAuthenticator(keys.FORWARDER_NKEY.getSeed()) },
  }
}

/** The Stream of stream.yaml as JetStream's API wants it, which is what NACK does with it. */
export function exampleStream() {
  const [{ spec }] = example('stream.yaml')
  const nanoseconds = (text: string) =>
    Number.parseInt(text, 10) * (text.endsWith('h') ? 3600e9 : 60e9)
  const { replicas, maxAge, maxBytes, duplicateWindow, ...rest } = spec
  return {
    ...rest,
    num_replicas: replicas,
    max_bytes: maxBytes,
    max_age: nanoseconds(maxAge),
    duplicate_window: nanoseconds(duplicateWindow),
  }
}

/** Makes it on a single server, which cannot keep three copies. */
export const createExampleStream = (url: string, admin: ConnectionOptions) =>
  askJetStream(url, 'STREAM.CREATE.FALCO', { ...exampleStream(), num_replicas: 1 }, admin)
