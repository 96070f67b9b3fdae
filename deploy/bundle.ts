// Makes dist/: the program as one file for each half, a start for them, and the code that V8 has compiled of it.
//
//   falco-nats.js   the command: finds the compiled code, then loads
//   main.js         the forwarder
//   respond.js      the other half, which acts on alerts: loaded only for `falco-nats respond`
//   compiled/       for this Node.js and this user; another one goes without, or makes its own if it may

import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { build, type Plugin } from 'esbuild'

const root = new URL('..', import.meta.url).pathname
const require = createRequire(import.meta.url)

/**
 * What packages ask for at once and seldom use: loaded at its first use. Without TLS an idle process has 57.5 MiB
 * in place of 61.6, without cryptography 58.8. A class of these can be made and asked for, but not extended.
 */
const DEFERRED = ['crypto', 'tls']

const deferBuiltIns: Plugin = {
  name: 'defer-built-ins',
  setup({ onResolve, onLoad }) {
    const filter = new RegExp(`^(node:)?(${DEFERRED.join('|')})$`)
    onResolve({ filter }, ({ path }) => ({
      path: path.replace(/^node:/, ''),
      namespace: 'built-in',
    }))
    onLoad({ filter, namespace: 'built-in' }, ({ path }) => ({ contents: deferred(path) }))
  },
}

/** Functions can be passed on before they are called; what else is asked for loads the module. */
function deferred(path: string): string {
  const members = Object.entries(require(path)).map(([name, member]) =>
    typeof member === 'function' && /^[a-z]/.test(name)
      ? `${name}:(...given)=>get().${name}(...given)`
      : `get ${name}(){return get().${name}}`,
  )
  return `let it;const get=()=>it??=process.getBuiltinModule('node:${path}');module.exports={${members}}`
}

rmSync(`${root}dist`, { recursive: true, force: true })
for (const [from, to] of [
  ['src/forward/main.ts', 'dist/main.js'],
  ['src/respond/main.ts', 'dist/respond.js'],
] as const)
  await build({
    absWorkingDir: root,
    entryPoints: [from],
    outfile: to,
    bundle: true,
    platform: 'node',
    target: 'node22',
    // As ESM it would import each built-in module at its start, with all its exports.
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'eof',
    logLevel: 'warning',
    plugins: [deferBuiltIns],
  })
writeFileSync(`${root}dist/package.json`, '{"type":"commonjs"}\n')
copyFileSync(`${root}src/bin.cjs`, `${root}dist/falco-nats.js`)
chmodSync(`${root}dist/falco-nats.js`, 0o755)
execFileSync(process.execPath, [`${root}dist/falco-nats.js`, '--version'])
execFileSync(process.execPath, [`${root}dist/falco-nats.js`, 'respond', '--help'])
