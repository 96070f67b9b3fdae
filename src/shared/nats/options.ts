// How to reach NATS: the options of both halves.

import { nonEmpty, subjectPrefix } from '../options/parsers.ts'
import { flag, optional, required, type ValuesOf } from '../options/table.ts'
import { parseServers } from './servers.ts'

export const CREDENTIAL_OPTIONS = {
  creds: optional({
    flags: '--creds <file>',
    natsEnv: 'NATS_CREDS',
    parse: nonEmpty,
    help: 'credentials file (JWT and seed)',
  }),
  nkey: optional({
    flags: '--nkey <file>',
    natsEnv: 'NATS_NKEY',
    parse: nonEmpty,
    help: 'file with an NKey seed',
  }),
  user: optional({
    flags: '--user <name>',
    natsEnv: 'NATS_USER',
    parse: nonEmpty,
    help: 'user name',
  }),
  passwordFile: optional({
    flags: '--password-file <file>',
    parse: nonEmpty,
    help: "file with the user's password",
  }),
  password: optional({
    natsEnv: 'NATS_PASSWORD',
    parse: nonEmpty,
    help: "the user's password",
  }),
  tokenFile: optional({
    flags: '--token-file <file>',
    parse: nonEmpty,
    help: 'file with a token',
  }),
  token: optional({ natsEnv: 'NATS_TOKEN', parse: nonEmpty, help: 'a token' }),
  tlsca: optional({
    flags: '--tlsca <file>',
    natsEnv: 'NATS_CA',
    parse: nonEmpty,
    help: 'certificates of the authorities to trust',
  }),
  tlscert: optional({
    flags: '--tlscert <file>',
    natsEnv: 'NATS_CERT',
    parse: nonEmpty,
    help: 'client certificate',
  }),
  tlskey: optional({
    flags: '--tlskey <file>',
    natsEnv: 'NATS_KEY',
    parse: nonEmpty,
    help: 'key of the client certificate',
  }),
  tlsfirst: flag({ flags: '--tlsfirst', help: 'TLS handshake before the server says anything' }),
}

export type CredentialOptions = ValuesOf<typeof CREDENTIAL_OPTIONS>

export const NATS_OPTIONS = {
  server: required({
    flags: '-s, --server <urls>',
    natsEnv: 'NATS_URL',
    default: 'nats://127.0.0.1:4222',
    parse: parseServers,
    help: 'NATS servers, comma-separated: nats:// or tls://',
  }),
  ...CREDENTIAL_OPTIONS,
  inboxPrefix: optional({
    flags: '--inbox-prefix <prefix>',
    defaultText: '_INBOX',
    parse: subjectPrefix,
    help: 'where answers to this connection are sent: so that its user can be denied those of others',
  }),
  connectionName: optional({
    flags: '--connection-name <name>',
    defaultText: 'falco-nats@<host>',
    parse: nonEmpty,
    help: 'how the server lists this connection',
  }),
}

export type NatsOptions = ValuesOf<typeof NATS_OPTIONS>
