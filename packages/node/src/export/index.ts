/**
 * What a study team takes out of its inbox: the packages as flat tables, for R, Python and DuckDB.
 *
 * @module
 */
export {
  type ExportFormat,
  type ExportOptions,
  type ExportProgress,
  type ExportReport,
  exportPackages,
} from './export.js'
export { heldPackages } from './held.js'
