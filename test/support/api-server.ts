// Stands in for the API server where a real one cannot be had to behave so: to hang, to fail, to have logs.

import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Cluster } from '../../src/respond/kubernetes/cluster.ts'
import { fixturePath } from './fixtures.ts'
import { listening } from './http-server.ts'
import { kubeconfigOf } from './kubernetes.ts'
import { clusterAt } from './targets.ts'
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
  const opened = await listening(server)
  return {
    ...opened,
    cluster: clusterOf(`${secure ? 'https' : 'http'}://${opened.host}`),
    connections: () => connections,
  }
}

export function clusterOf(server: string): Cluster {
  using directory = tempDir()
  const path = directory.file('kubeconfig')
  writeFileSync(path, kubeconfigOf({ server, token: 'token' }))
  return clusterAt(path)
}
