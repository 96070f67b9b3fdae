// The Kubernetes API, as far as steps need it. Opened once, when the first step needs it.

import { KubeConfig } from '@kubernetes/client-node'
import { messageOf, printable } from '../../shared/errors.ts'
import { ApiError } from './errors.ts'
import type { NetworkPolicy, Node, Pod } from './objects.ts'
import { type ApiRequest, createCall } from './request.ts'
import type { NamedPod, NodeTarget, PodTarget } from './target.ts'

/** All its functions throw an ApiError where the API fails or refuses. Undefined: there is no such object. */
export type Cluster = ReturnType<typeof createCluster>

/** A merge patch: null removes a key. */
type Patch = Readonly<Record<string, unknown>>
type Place = Pick<ApiRequest, 'resource' | 'path'>
type DeleteOptions = Readonly<Record<'gracePeriodSeconds', number | undefined>>

interface LogOptions {
  readonly container: string
  readonly previous: boolean
  readonly tailLines: number | undefined
  readonly limitBytes: number
}

/** Pods in one answer to a list. */
const PAGE = 250

/** From KUBECONFIG, the service account, or ~/.kube/config. Throws an ApiError. */
export function openCluster(): Cluster {
  const config = new KubeConfig()
  try {
    config.loadFromDefault()
  } catch (error) {
    throw new ApiError(`cannot read the kubeconfig: ${reasonOf(error)}`)
  }
  const { name, server } = config.getCurrentCluster() ?? {}
  // What the client takes when it has found nothing.
  const isGuess = name === 'cluster' && server === 'http://localhost:8080'
  if (server === undefined || isGuess)
    throw new ApiError(
      'there is no Kubernetes to act upon: neither a service account nor a KUBECONFIG with a current context',
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

function createCluster(config: KubeConfig) {
  const call = createCall(config)

  async function json<T>(request: ApiRequest): Promise<T> {
    const bytes = await call(request)
    try {
      return JSON.parse(bytes.toString())
    } catch (cause) {
      throw new ApiError(`${request.verb} ${request.resource}: the answer is not JSON`, { cause })
    }
  }

  const get = <T>({ resource, path }: Place, signal: AbortSignal) =>
    unless(({ status }) => status === 404, json<T>({ verb: 'get', resource, path, signal }))

  /** False: there is one of this name already. */
  const create = async (place: Place, body: object, signal: AbortSignal, query = {}) => {
    const answer = call({ verb: 'create', ...place, body, signal, query })
    return (await unless(({ reason }) => reason === 'AlreadyExists', answer)) !== undefined
  }

  /** False: the object is not there, or another one has its name. */
  async function change(uid: string, request: ApiRequest): Promise<boolean> {
    try {
      await call(request)
      return true
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.status === 404) return false
      // A wrong uid is a conflict to a delete and invalid to a patch; so are other things.
      const mayBeAnother = error.status === 409 || error.status === 422
      if (mayBeAnother && (await get<Pod | Node>(request, request.signal))?.metadata.uid !== uid)
        return false
      throw error
    }
  }

  /** With a `resourceVersion`, only if it is still of that version. */
  const merge =
    <Target extends { readonly uid: string }>(placeOf: (target: Target) => Place) =>
    (target: Target, patch: Patch, signal: AbortSignal, resourceVersion?: string) => {
      const { uid } = target
      // JSON leaves out what is undefined.
      const body = { ...patch, metadata: { ...(patch.metadata as object), uid, resourceVersion } }
      return change(uid, { verb: 'patch', ...placeOf(target), body, signal })
    }

  return {
    pod: (pod: NamedPod, signal: AbortSignal) => get<Pod>(placeOfPod(pod), signal),

    /** Only the very pod that was checked; false: it is gone. */
    deletePod(pod: PodTarget, options: DeleteOptions, signal: AbortSignal) {
      const body = { ...options, preconditions: { uid: pod.uid } }
      return change(pod.uid, { verb: 'delete', ...placeOfPod(pod), body, signal })
    },

    /** Likewise. */
    patchPod: merge<PodTarget>(placeOfPod),

    /** Of all namespaces. */
    async *podsWithLabel(labelSelector: string, signal: AbortSignal): AsyncGenerator<Pod> {
      let next: string | undefined
      do {
        const query = { labelSelector, limit: PAGE, continue: next }
        const request = { verb: 'list', ...at('pods', '/api/v1/pods'), query, signal } as const
        const list: { metadata?: { continue?: string }; items: Pod[] } = await json(request)
        yield* list.items
        next = list.metadata?.continue || undefined
      } while (next)
    },

    /** Undefined: it has none, or not yet. */
    log(pod: NamedPod, options: LogOptions, signal: AbortSignal) {
      const request = at('pods/log', `${placeOfPod(pod).path}/log`)
      const query = { ...options }
      const answer = call({ verb: 'get', ...request, query, signal }, options.limitBytes)
      // A container that has not begun, or never ended, is a bad request.
      return unless(({ status }) => status === 400 || status === 404, answer)
    },

    node: (name: string, signal: AbortSignal) => get<Node>(placeOfNode({ name }), signal),
    patchNode: merge<NodeTarget>(placeOfNode),

    networkPolicy(namespace: string, name: string, signal: AbortSignal) {
      const { resource, path } = policies(namespace)
      return get<NetworkPolicy>(at(resource, `${path}/${encodeURIComponent(name)}`), signal)
    },

    /** False: there is one of this name already. */
    createNetworkPolicy: (namespace: string, policy: object, signal: AbortSignal) =>
      create(policies(namespace), policy, signal),

    /** Likewise. With `dryRun` the server only checks it. */
    createJob(namespace: string, job: object, options: { dryRun: boolean }, signal: AbortSignal) {
      const place = at('jobs', pathOf`/apis/batch/v1/namespaces/${namespace}/jobs`)
      // A field that it does not know would be left out silently.
      const query = { fieldValidation: 'Strict', dryRun: options.dryRun ? 'All' : undefined }
      return create(place, job, signal, query)
    },

    async createEvent(namespace: string, event: object, signal: AbortSignal): Promise<void> {
      const place = at('events', pathOf`/api/v1/namespaces/${namespace}/events`)
      await call({ verb: 'create', ...place, body: event, signal })
    },
  }
}

const pathOf = (strings: TemplateStringsArray, ...names: string[]) =>
  String.raw(strings, ...names.map(encodeURIComponent))

const at = (resource: string, path: string): Place => ({ resource, path })

const placeOfPod = ({ namespace, name }: NamedPod) =>
  at('pods', pathOf`/api/v1/namespaces/${namespace}/pods/${name}`)

const placeOfNode = ({ name }: Pick<NodeTarget, 'name'>) =>
  at('nodes', pathOf`/api/v1/nodes/${name}`)

const policies = (namespace: string) =>
  at('networkpolicies', pathOf`/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`)

/** Undefined where the API refuses in a way that is expected. */
async function unless<T>(isExpected: (error: ApiError) => boolean, answer: Promise<T>) {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ApiError && isExpected(error)) return undefined
    throw error
  }
}
