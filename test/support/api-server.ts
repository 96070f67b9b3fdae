// Stands in for the API server where a real one cannot be had to behave so: to hang, to fail, to have logs.

import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Cluster } from '../../src/respond/cluster.ts'
import { fixturePath } from './fixtures.ts'
import { kubeconfigOf } from './kubernetes.ts'
import { clusterAt } from './respond.ts'
import { tempDir } from './temp.ts'

export interface StandIn extends AsyncDisposable {
  readonly cluster: Cluster
  /** Made so far. */
  connections(): number
}

export async function startStandIn(
  listener: RequestListener,
  { secure = false } = {},
): Promise<StandIn> {
  let connections = 0
  const pem = (name: string) => readFileSync(fixturePath(`tls/${name}`))
  const server = secure
    ? createSecureServer({ key: pem('server.key'), cert: pem('server.crt') }, listener)
    : createServer(listener)
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    cluster: clusterOf(
      `${secure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ),
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function clusterOf(server: string): Cluster {
  using directory = tempDir()
  const path = directory.file('kubeconfig')
  writeFileSync(path, kubeconfigOf({ server, token: 'token' }))
  return clusterAt(path)
}
