// @vitest-environment node
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const tsx = createRequire(import.meta.url).resolve('tsx')
const here = fileURLToPath(new URL('./index.ts', import.meta.url))

test('KF-14 a server that imports the browser package, as frameworks do that render there, gets a client and no error', async () => {
  const code = `
    const { createBrowserClient, usCore } = await import(${JSON.stringify(here)})
    const smart = createBrowserClient({
      redirectUri: 'https://app.example/', plan: usCore, providers: [{ id: 'a', name: 'A', iss: 'https://a.example', clientId: 'x' }],
    })
    console.log(JSON.stringify([await smart.handleRedirect() ?? null, await smart.launch(), await smart.connections()]))`
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--conditions=@s4s/source',
    '--import',
    tsx,
    '--input-type=module',
    '--eval',
    code,
  ])
  expect([stdout.trim(), stderr]).toEqual(['[null,false,[]]', ''])
})

test('KF-13 what a page installs runs no script, and is a handful of packages', async () => {
  const require = createRequire(import.meta.url)
  const { readFile } = await import('node:fs/promises')
  const seen = new Set<string>()
  const visit = async (name: string, from: NodeJS.Require): Promise<void> => {
    if (seen.has(name)) return
    seen.add(name)
    const path = from.resolve.paths(name)?.map((folder) => `${folder}/${name}/package.json`) ?? []
    for (const file of path) {
      const text = await readFile(file, 'utf8').catch(() => undefined)
      if (text === undefined) continue
      const { scripts = {}, dependencies = {} } = JSON.parse(text) as Record<string, Record<string, string>>
      for (const hook of ['preinstall', 'install', 'postinstall']) expect(scripts[hook]).toBeUndefined()
      for (const next of Object.keys(dependencies)) await visit(next, createRequire(file))
      return
    }
    throw new Error(`${name} is not installed`)
  }
  const { dependencies } = JSON.parse(
    await readFile(new URL('../package.json', import.meta.url), 'utf8'),
  ) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) await visit(name, require)
  expect(seen.size).toBeLessThanOrEqual(7)
})
