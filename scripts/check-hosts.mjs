// Where packages are fetched from is a matter of whoever installs, so neither the lockfile nor a file names a registry.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { top } from './documents.mjs'

// In pieces, so that this file is not found.
const hosts = [
  'registry.npm' + 'js.org',
  'registry.yarn' + 'pkg.com',
  'npm.pkg.git' + 'hub.com',
  'registry.npm' + 'mirror.com',
]
const skip = new Set(['node_modules', '.git', 'dist', 'coverage', 'reference', '.s4s', '.cache'])
const faults = []

const lockfile = readFileSync(join(top, 'pnpm-lock.yaml'), 'utf8')
for (const [url] of lockfile.matchAll(/(?:https?|git\+\w+):\/\/[^\s}'"]+/g))
  faults.push(`pnpm-lock.yaml names ${url}`)
visit('.')
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.stdout.write(`hosts: ${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1

function visit(folder) {
  for (const entry of readdirSync(join(top, folder), { withFileTypes: true })) {
    if (skip.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) visit(path)
    else if (entry.isFile()) {
      const text = readFileSync(join(top, path), 'latin1')
      for (const host of hosts) if (text.includes(host)) faults.push(`${path} names ${host}`)
    }
  }
}
