// Acts a pod out on this machine: directories for its volumes, and the environment of a container.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPTIONS } from '../../src/forward/options.ts'
import { envName, longFlag } from '../../src/shared/options/table.ts'

export interface Container {
  readonly name: string
  readonly args?: string[]
  readonly env?: { name: string; value?: string; valueFrom?: object }[]
  readonly volumeMounts: { name: string; mountPath: string }[]
  readonly securityContext: { runAsUser: number }
  readonly startupProbe: { httpGet: { path: string } }
  readonly livenessProbe: { httpGet: { path: string } }
}

export interface PodSpec {
  readonly initContainers: Container[]
  readonly containers: Container[]
  readonly volumes: {
    name: string
    emptyDir?: object
    projected?: { sources: { secret: { name: string; items: { key: string; path: string }[] } }[] }
  }[]
}

/** Secrets by name, and what is in them by key. */
export type Secrets = Record<string, Record<string, string>>

/** Makes the volumes in `directory`, as a kubelet would. */
export function makeVolumes(spec: PodSpec, secrets: Secrets, directory: string): void {
  for (const { name, emptyDir, projected } of spec.volumes) {
    const path = join(directory, name)
    mkdirSync(path)
    chmodSync(path, emptyDir ? 0o777 : 0o755)
    for (const { secret } of projected?.sources ?? [])
      for (const { key, path: file } of secret.items) {
        const content = secrets[secret.name]?.[key]
        if (content === undefined) throw new Error(`no ${key} in the Secret ${secret.name}`)
        writeFileSync(join(path, file), content, { mode: 0o444 })
      }
  }
}

/** The path here of what is at `path` in a container. */
export function pathHere(container: Container, directory: string, path: string): string {
  const mount = container.volumeMounts.find(({ mountPath }) =>
    `${path}/`.startsWith(`${mountPath}/`),
  )
  return mount ? join(directory, mount.name, path.slice(mount.mountPath.length)) : path
}

/** A container's environment, with values of our own. */
export function environmentOf({ env = [] }: Container, own: object): Record<string, string> {
  const values: Record<string, string> = {}
  for (const { name, value } of env)
    values[name] =
      // Without a value it is from the downward API: the node's name.
      value?.replace(/\$\((\w+)\)/g, (whole, used: string) => values[used] ?? whole) ?? 'node-7'
  return { ...values, ...own }
}

/** The same as flags, for what runs images and hands no environment in. */
export function flagsOf(environment: Record<string, string>): string[] {
  return Object.entries(OPTIONS).flatMap(([key, row]) => {
    const value = environment[envName(key)]
    if (value === undefined || value === 'false') return []
    return value === 'true' ? [longFlag(row)!] : [longFlag(row)!, value]
  })
}
