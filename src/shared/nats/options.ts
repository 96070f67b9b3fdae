// How to reach NATS: the options of both halves.

import { nonEmpty, subjectPrefix } from '../options/parsers.ts'
import { flag, optional, required, type ValuesOf } from '../options/table.ts'
import { parseServers } from './servers.ts'

const text = (flags: string, help: string, natsEnv?: string) =>
  optional({ flags, help, parse: nonEmpty, ...(natsEnv && { natsEnv }) })

const CREDENTIAL_OPTIONS = {
  creds: text('--creds <file>', 'credentials file (JWT and seed)', 'NATS_CREDS'),
  nkey: text('--nkey <file>', 'file with an NKey seed', 'NATS_NKEY'),
  user: text('--user <name>', 'user name', 'NATS_USER'),
  passwordFile: text('--password-file <file>', "file with the user's password"),
  password: optional({ natsEnv: 'NATS_PASSWORD', parse: nonEmpty, help: "the user's password" }),
  tokenFile: text('--token-file <file>', 'file with a token'),
  token: optional({ natsEnv: 'NATS_TOKEN', parse: nonEmpty, help: 'a token' }),
  tlsca: text('--tlsca <file>', 'certificates of the authorities to trust', 'NATS_CA'),
  tlscert: text('--tlscert <file>', 'client certificate', 'NATS_CERT'),
  tlskey: text('--tlskey <file>', 'key of the client certificate', 'NATS_KEY'),
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
  connectionName: {
    ...text('--connection-name <name>', 'how the server lists this connection'),
    defaultText: 'falco-nats@<host>',
  },
}

export type NatsOptions = ValuesOf<typeof NATS_OPTIONS>
