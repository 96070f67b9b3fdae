// The Falco pod as the chart renders it, acted out: the sidecar (its image, where the machine can run
// one), a writer in Falco's place, and the NATS of deploy/examples, from the start to the stop.

import { statSync } from 'node:fs'
import { beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { falcoNats, type Running } from '../support/cli.ts'
import { createExampleStream, exampleNats } from '../support/examples.ts'
import { fixture } from '../support/fixtures.ts'
import {
  assembled,
  documents,
  FALCO_CHARTS,
  HELMS,
  type Manifest,
  named,
  podOf,
  template,
} from '../support/helm.ts'
import { BUILD_TIMEOUT_MS, buildImage, canRunImages, terminate } from '../support/image.ts'
import { readStream, startNats } from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { environmentOf, flagsOf, makeVolumes, type PodSpec, pathHere } from '../support/pod.ts'
import { get } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const POD: PodSpec = parse(fixture('pod.yaml').toString())
const sidecar = POD.initContainers[0]!
const falco = POD.containers[0]!
const BUNDLE = new URL('../../dist/falco-nats.js', import.meta.url).pathname

const VALUES = new URL('../../deploy/examples/falco-values.yaml', import.meta.url).pathname

it.skipIf(HELMS.length === 0)('is what the chart renders with the values of the example', () => {
  const chart = assembled(FALCO_CHARTS[0]!)
  const rendered = podOf(documents(template(HELMS[0]!.program, chart, '-f', VALUES)))
  const ours = (list: readonly Manifest[]) =>
    list.filter(({ name }) => name.startsWith('falco-nats'))
  const volumeMounts = ours(named(rendered.containers, 'falco').volumeMounts)
  expect(POD).toEqual({
    initContainers: ours(rendered.initContainers),
    containers: [{ name: 'falco', volumeMounts }],
    volumes: ours(rendered.volumes),
  })
})

let image: string[]
beforeAll(async () => {
  if (canRunImages) image = await buildImage('falco-nats:pod-test')
  else
    console.warn(
      'skipped: the pod with the image, since IMAGE_BUILD and IMAGE_RUN name no commands',
    )
}, BUILD_TIMEOUT_MS)

/** Starts the sidecar on volumes in `directory`, as its container says, but for where things are here. */
function startSidecar(directory: string, port: number): Running {
  const own = {
    FALCO_NATS_SERVER: `tls://localhost:${port}`,
    FALCO_NATS_METRICS_ADDRESS: '127.0.0.1:0',
  }
  const environment = environmentOf(sidecar, own)
  const args = sidecar.args ?? []
  if (canRunImages) {
    // Not everything that runs images follows the link from /var/run to /run, as runc does.
    const volumes = sidecar.volumeMounts.map(
      ({ name, mountPath }) =>
        `${directory}/${name}:${mountPath.replace(/^\/var\/run\//, '/run/')}`,
    )
    const env = { VOLUMES: volumes.join(' ') }
    return falcoNats([...args, ...flagsOf(environment)], { program: image, env })
  }
  const env = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, pathHere(sidecar, directory, value)]),
  )
  return falcoNats(args, { program: [process.execPath, BUNDLE], env })
}

const probe = async (running: Running, { httpGet }: { httpGet: { path: string } }) =>
  (await get(running, httpGet.path)).status

async function stop(running: Running) {
  if (canRunImages) await terminate(running.child.pid!)
  else running.child.kill('SIGTERM')
  return { code: await running.exited(), last: running.log().at(-1)! }
}

it.each([
  ['is there from the start', true],
  ['comes late, and holds up neither Falco nor its alerts', false],
])('takes all alerts to a NATS that %s, and stops after Falco', async (_, started) => {
  const ALERTS = 500
  using dir = tempDir()
  const nats = exampleNats()
  await using server = await startNats(nats.config, { started })
  if (started) await createExampleStream(server.url, nats.admin)
  makeVolumes(POD, { 'falco-nats': nats.secret }, dir.path)

  // Kubernetes starts Falco when the probe is passed; then the pipe must be there.
  await using running = startSidecar(dir.path, server.port)
  await until(
    'the startup probe is passed',
    async () => (await probe(running, sidecar.startupProbe)) === 200,
  )
  const pipe = environmentOf(sidecar, {}).FALCO_NATS_PIPE!
  const pipeHere = pathHere(falco, dir.path, pipe)
  expect(statSync(pipeHere).isFIFO()).toBe(true)
  if (canRunImages) expect(statSync(pipeHere).uid).toBe(sidecar.securityContext.runAsUser)

  await using writing = await writePipe(pipeHere, `numbered:${ALERTS}`, 'falco')
  if (!started) {
    // Falco has written all of it while there was no NATS.
    expect(await writing.done()).toBe(0)
    await server.start()
    await createExampleStream(server.url, nats.admin)
    await running.logged('connected')
  }

  // The stop: Falco first, then the sidecar.
  expect(await writing.done()).toBe(0)
  expect(await probe(running, sidecar.livenessProbe)).toBe(200)
  const { code, last } = await stop(running)
  expect([code, last]).toEqual([
    0,
    expect.objectContaining({ read: ALERTS, delivered: ALERTS, left: 0 }),
  ])
  const stored = await readStream(server.url, 'FALCO', nats.admin)
  expect(countNumbered(stored, ALERTS)).toEqual({ missing: 0, duplicates: 0, inOrder: true })
})
