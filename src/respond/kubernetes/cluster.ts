// The Kubernetes API, as far as steps need it. Opened once, when the first step needs it.

import { HttpMethod, KubeConfig, PatchStrategy } from '@kubernetes/client-node'
import { messageOf, printable } from '../../shared/errors.ts'
import { StepError } from '../steps/step.ts'
import { ApiError } from './errors.ts'
import type { NetworkPolicy, Node, Pod } from './objects.ts'
import { type ApiRequest, createCall } from './request.ts'
import type { NamedPod, NodeTarget, PodTarget } from './target.ts'

/** A merge patch: null removes a key. */
export type Patch = Readonly<Record<string, unknown>>

export interface LogOptions {
  readonly container: string
  readonly previous: boolean
  readonly tailLines: number | undefined
  readonly limitBytes: number
}

/** All throw a StepError where the API fails or refuses. Undefined and false: there is no such object. */
export interface Cluster {
  pod(pod: NamedPod, signal: AbortSignal): Promise<Pod | undefined>
  /** Only the very pod that was checked. */
  deletePod(
    pod: PodTarget,
    options: { readonly gracePeriodSeconds: number | undefined },
    signal: AbortSignal,
  ): Promise<boolean>
  /** Likewise; with a `resourceVersion`, only if nobody has changed it since. */
  patchPod(
    pod: PodTarget,
    patch: Patch,
    signal: AbortSignal,
    resourceVersion?: string,
  ): Promise<boolean>
  /** Of all namespaces. */
  podsWithLabel(selector: string, signal: AbortSignal): AsyncIterable<Pod>
  /** Undefined: it has none, or not yet. */
  log(pod: NamedPod, options: LogOptions, signal: AbortSignal): Promise<Buffer | undefined>
  node(name: string, signal: AbortSignal): Promise<Node | undefined>
  patchNode(
    node: NodeTarget,
    patch: Patch,
    signal: AbortSignal,
    resourceVersion?: string,
  ): Promise<boolean>
  networkPolicy(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<NetworkPolicy | undefined>
  /** False: there is one of this name already. */
  createNetworkPolicy(namespace: string, policy: object, signal: AbortSignal): Promise<boolean>
  /** Likewise. With `dryRun` the server only says whether it would. */
  createJob(
    namespace: string,
    job: object,
    options: { readonly dryRun: boolean },
    signal: AbortSignal,
  ): Promise<boolean>
  createEvent(namespace: string, event: object, signal: AbortSignal): Promise<void>
}

/** What is asked for at a time, where there may be many. */
const PAGE = 250

/** From KUBECONFIG, the service account, or ~/.kube/config. Throws a StepError. */
export function openCluster(): Cluster {
  const config = new KubeConfig()
  try {
    config.loadFromDefault()
  } catch (error) {
    throw new StepError(`cannot read the kubeconfig: ${reasonOf(error)}`, { retryable: true })
  }
  const cluster = config.getCurrentCluster()
  // What the client takes when it has found nothing.
  const isGuess = cluster?.name === 'cluster' && cluster.server === 'http://localhost:8080'
  if (!cluster || isGuess)
    throw new StepError(
      'there is no Kubernetes to act upon: neither a service account nor a KUBECONFIG with a current context',
      { retryable: true },
    )
  return createCluster(config)
}

/** The reader of YAML shows the lines around what is wrong, and the next line may be a token. */
function reasonOf(error: unknown): string {
  const { reason, mark } = error as { reason?: unknown; mark?: { line?: unknown } }
  if (typeof reason !== 'string') return messageOf(error)
  const line = typeof mark?.line === 'number' ? ` in line ${mark.line + 1}` : ''
  return `${printable(reason)}${line}`
}

function createCluster(config: KubeConfig): Cluster {
  const call = createCall(config)
  async function json<T>(request: ApiRequest): Promise<T> {
    const bytes = await call(request)
    try {
      return JSON.parse(bytes.toString())
    } catch (error) {
      const message = `${request.what}: the answer is not JSON`
      throw new StepError(message, { retryable: true, cause: error })
    }
  }
  const get = <T>(what: string, path: string, signal: AbortSignal) =>
    orMissing(json<T>({ what: `get ${what}`, method: HttpMethod.GET, path, signal }))
  const create = (
    what: string,
    path: string,
    body: object,
    signal: AbortSignal,
    query: ApiRequest['query'] = {},
  ) => call({ what: `create ${what}`, method: HttpMethod.POST, path, body, signal, query })

  /** Does it; false where the object is not there, or is another one of its name. */
  async function onlyIf<T extends { metadata: { uid: string } }>(
    uid: string,
    act: () => Promise<unknown>,
    look: () => Promise<T | undefined>,
  ): Promise<boolean> {
    try {
      await act()
      return true
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.status === 404) return false
      // A wrong uid is a conflict to a delete and invalid to a patch; so are other things.
      const mayBeAnother = error.status === 409 || error.status === 422
      if (mayBeAnother && (await look())?.metadata.uid !== uid) return false
      throw error
    }
  }

  function patched(
    what: string,
    path: string,
    uid: string,
    patch: Patch,
    signal: AbortSignal,
    resourceVersion: string | undefined,
  ): Promise<boolean> {
    // JSON leaves out what is undefined.
    const metadata = { ...(patch.metadata as object), uid, resourceVersion }
    const act = () =>
      call({
        what: `patch ${what}`,
        method: HttpMethod.PATCH,
        path,
        body: { ...patch, metadata },
        contentType: PatchStrategy.MergePatch,
        signal,
      })
    return onlyIf(uid, act, () => get<Pod | Node>(what, path, signal))
  }

  const cluster: Cluster = {
    pod: (pod, signal) => get('pods', podPath(pod), signal),
    deletePod(pod, { gracePeriodSeconds }, signal) {
      const act = () =>
        call({
          what: 'delete pods',
          method: HttpMethod.DELETE,
          path: podPath(pod),
          body: { gracePeriodSeconds, preconditions: { uid: pod.uid } },
          signal,
        })
      return onlyIf(pod.uid, act, () => cluster.pod(pod, signal))
    },
    patchPod: (pod, patch, signal, resourceVersion) =>
      patched('pods', podPath(pod), pod.uid, patch, signal, resourceVersion),
    async *podsWithLabel(labelSelector, signal) {
      let next: string | undefined
      do {
        const query = { labelSelector, limit: PAGE, continue: next }
        const path = '/api/v1/pods'
        const list: { metadata?: { continue?: string }; items: Pod[] } = await json({
          what: 'list pods',
          method: HttpMethod.GET,
          path,
          query,
          signal,
        })
        yield* list.items
        next = list.metadata?.continue || undefined
      } while (next)
    },
    async log(pod, options, signal) {
      const request = {
        what: 'get pods/log',
        method: HttpMethod.GET,
        path: `${podPath(pod)}/log`,
        query: { ...options },
        signal,
      }
      try {
        return await call(request, options.limitBytes)
      } catch (error) {
        // A container that has not begun, or never ended, is a bad request.
        if (error instanceof ApiError && (error.status === 400 || error.status === 404))
          return undefined
        throw error
      }
    },
    node: (name, signal) => get('nodes', nodePath(name), signal),
    patchNode: (node, patch, signal, resourceVersion) =>
      patched('nodes', nodePath(node.name), node.uid, patch, signal, resourceVersion),
    networkPolicy: (namespace, name, signal) =>
      get('networkpolicies', `${policiesPath(namespace)}/${encodeURIComponent(name)}`, signal),
    createNetworkPolicy: (namespace, policy, signal) =>
      orThere(create('networkpolicies', policiesPath(namespace), policy, signal)),
    createJob(namespace, job, { dryRun }, signal) {
      const path = `/apis/batch/v1/namespaces/${encodeURIComponent(namespace)}/jobs`
      // A field that it does not know would be left out silently.
      const query = { fieldValidation: 'Strict', dryRun: dryRun ? 'All' : undefined }
      return orThere(create('jobs', path, job, signal, query))
    },
    async createEvent(namespace, event, signal) {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`
      await create('events', path, event, signal)
    },
  }
  return cluster
}

const podPath = ({ namespace, name }: NamedPod) =>
  `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
const nodePath = (name: string) => `/api/v1/nodes/${encodeURIComponent(name)}`
const policiesPath = (namespace: string) =>
  `/apis/networking.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/networkpolicies`

async function orMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}

async function orThere(answer: Promise<unknown>): Promise<boolean> {
  try {
    await answer
    return true
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'AlreadyExists') return false
    throw error
  }
}
