// Operator, account and user for a server in operator mode: what `nsc` would make, by hand.

import { nkeys } from 'nats'

type Key = ReturnType<typeof nkeys.createUser>

interface User {
  /** The creds file. */
  readonly creds: string
  readonly publicKey: string
}

export interface OperatorMode {
  /** Server configuration that trusts a new operator, with one account. */
  readonly config: string
  /** The same with users whose JWT is revoked, or without the account. */
  configWith(changes: { revoked?: readonly User[]; withoutAccount?: boolean }): string
  /** A new user of the account, whose JWT may be good for so many seconds only. */
  user(secondsLeft?: number): User
  /** Creds of a user of it, and of an account that the server does not know. */
  readonly creds: string
  readonly otherCreds: string
}

export function operatorMode(): OperatorMode {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const operatorJwt = sign(operator, operator.getPublicKey(), 'test', {
    type: 'operator',
    version: 2,
  })
  const configWith: OperatorMode['configWith'] = ({ revoked = [], withoutAccount = false }) => {
    const accountJwt = sign(operator, account.getPublicKey(), 'test', {
      limits: { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 },
      revocations: Object.fromEntries(revoked.map(({ publicKey }) => [publicKey, nowS()])),
      type: 'account',
      version: 2,
    })
    // An empty list would not be loaded.
    const other = nkeys.createAccount().getPublicKey()
    const otherJwt = sign(operator, other, 'other', { limits: {}, type: 'account', version: 2 })
    const own = withoutAccount ? '' : `${account.getPublicKey()}: "${accountJwt}"`
    return `operator: "${operatorJwt}"
      resolver: MEMORY
      resolver_preload: { ${other}: "${otherJwt}", ${own} }`
  }
  return {
    config: configWith({}),
    configWith,
    user: (secondsLeft) => userOf(account, secondsLeft),
    creds: userOf(account).creds,
    otherCreds: userOf(nkeys.createAccount()).creds,
  }
}

const nowS = () => Math.floor(Date.now() / 1000)

function userOf(account: Key, secondsLeft?: number): User {
  const user = nkeys.createUser()
  const claims = { pub: {}, sub: {}, subs: -1, data: -1, payload: -1, type: 'user', version: 2 }
  const more = secondsLeft === undefined ? {} : { exp: nowS() + secondsLeft }
  const jwt = sign(account, user.getPublicKey(), 'forwarder', claims, more)
  const seed = new TextDecoder().decode(user.getSeed())
  return {
    publicKey: user.getPublicKey(),
    creds: `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n
-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
  }
}

function sign(issuer: Key, subject: string, name: string, nats: object, more = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    jti: name,
    iat: 1,
    iss: issuer.getPublicKey(),
    name,
    sub: subject,
    nats,
    ...more,
  }
  const body = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(claims)}`
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`
}
