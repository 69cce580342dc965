// Codes are those of the real code systems, so that what is built against the sandbox meets them early.

/** Addresses of code systems. */
export const systems = {
  loinc: 'http://loinc.org',
  snomed: 'http://snomed.info/sct',
  rxnorm: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  cvx: 'http://hl7.org/fhir/sid/cvx',
  icd10: 'http://hl7.org/fhir/sid/icd-10-cm',
  ucum: 'http://unitsofmeasure.org',
  npi: 'http://hl7.org/fhir/sid/us-npi',
  observationCategory: 'http://terminology.hl7.org/CodeSystem/observation-category',
  usCoreCategory: 'http://hl7.org/fhir/us/core/CodeSystem/us-core-category',
  actCode: 'http://terminology.hl7.org/CodeSystem/v3-ActCode',
  roleCode: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode',
} as const

/** A coded value of FHIR. */
export interface Coding {
  readonly system: string
  readonly code: string
  readonly display: string
}

/** A CodeableConcept of FHIR. */
export interface Concept {
  readonly coding: readonly Coding[]
  readonly text: string
}

/** A concept of one coding, or of several that say the same. */
export function concept(...codings: readonly [Coding, ...Coding[]]): Concept {
  return { coding: codings, text: codings[0].display }
}

const coder =
  (system: string) =>
  (code: string, display: string): Coding => ({ system, code, display })

export const loinc: (code: string, display: string) => Coding = coder(systems.loinc)
export const snomed: (code: string, display: string) => Coding = coder(systems.snomed)
export const rxnorm: (code: string, display: string) => Coding = coder(systems.rxnorm)
export const cvx: (code: string, display: string) => Coding = coder(systems.cvx)
export const icd10: (code: string, display: string) => Coding = coder(systems.icd10)

/** A coding of a code system of HL7's terminology server, which has no display that anyone reads. */
export function terminology(system: string, code: string, display: string): Concept {
  return concept({ system: `http://terminology.hl7.org/CodeSystem/${system}`, code, display })
}

/** A measurement: its code, unit and the range in which a healthy adult lies. */
export interface Measure {
  readonly code: Coding
  readonly unit: string
  readonly ucum: string
  readonly low?: number
  readonly high?: number
  readonly decimals: number
}

function measure(
  code: string,
  display: string,
  unit: string,
  decimals: number,
  low?: number,
  high?: number,
  ucum: string = unit,
): Measure {
  const range = { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) }
  return { code: loinc(code, display), unit, ucum, decimals, ...range }
}

type LabName =
  | 'glucose'
  | 'urea'
  | 'creatinine'
  | 'egfr'
  | 'sodium'
  | 'potassium'
  | 'chloride'
  | 'carbonDioxide'
  | 'calcium'
  | 'protein'
  | 'albumin'
  | 'bilirubin'
  | 'alkalinePhosphatase'
  | 'alt'
  | 'ast'
  | 'hba1c'
  | 'albuminRatio'
  | 'cholesterol'
  | 'triglycerides'
  | 'hdl'
  | 'ldl'
  | 'leukocytes'
  | 'erythrocytes'
  | 'hemoglobin'
  | 'hematocrit'
  | 'mcv'
  | 'platelets'
  | 'tsh'
  | 'glucoseOneHour'
  | 'inr'
  | 'ntProBnp'
  | 'lead'
  | 'sensorGlucose'

/** Laboratory measurements. */
export const labs: Readonly<Record<LabName, Measure>> = {
  glucose: measure('2345-7', 'Glucose [Mass/volume] in Serum or Plasma', 'mg/dL', 0, 70, 99),
  urea: measure('3094-0', 'Urea nitrogen [Mass/volume] in Serum or Plasma', 'mg/dL', 0, 7, 20),
  creatinine: measure('2160-0', 'Creatinine [Mass/volume] in Serum or Plasma', 'mg/dL', 2, 0.6, 1.3),
  egfr: measure(
    '98979-8',
    'Glomerular filtration rate [Volume Rate/Area] in Serum, Plasma or Blood by Creatinine-based formula (CKD-EPI 2021)/1.73 sq M',
    'mL/min/1.73 m2',
    0,
    60,
    undefined,
    'mL/min/{1.73_m2}',
  ),
  sodium: measure('2951-2', 'Sodium [Moles/volume] in Serum or Plasma', 'mmol/L', 0, 136, 145),
  potassium: measure('2823-3', 'Potassium [Moles/volume] in Serum or Plasma', 'mmol/L', 1, 3.5, 5.1),
  chloride: measure('2075-0', 'Chloride [Moles/volume] in Serum or Plasma', 'mmol/L', 0, 98, 107),
  carbonDioxide: measure(
    '2028-9',
    'Carbon dioxide, total [Moles/volume] in Serum or Plasma',
    'mmol/L',
    0,
    22,
    29,
  ),
  calcium: measure('17861-6', 'Calcium [Mass/volume] in Serum or Plasma', 'mg/dL', 1, 8.6, 10.2),
  protein: measure('2885-2', 'Protein [Mass/volume] in Serum or Plasma', 'g/dL', 1, 6, 8.3),
  albumin: measure('1751-7', 'Albumin [Mass/volume] in Serum or Plasma', 'g/dL', 1, 3.5, 5),
  bilirubin: measure('1975-2', 'Bilirubin.total [Mass/volume] in Serum or Plasma', 'mg/dL', 1, 0.1, 1.2),
  alkalinePhosphatase: measure(
    '6768-6',
    'Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma',
    'U/L',
    0,
    44,
    147,
  ),
  alt: measure(
    '1742-6',
    'Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma',
    'U/L',
    0,
    7,
    56,
  ),
  ast: measure(
    '1920-8',
    'Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma',
    'U/L',
    0,
    10,
    40,
  ),
  hba1c: measure('4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood', '%', 1, 4, 5.6),
  albuminRatio: measure('9318-7', 'Albumin/Creatinine [Mass Ratio] in Urine', 'mg/g', 0, 0, 29),
  cholesterol: measure('2093-3', 'Cholesterol [Mass/volume] in Serum or Plasma', 'mg/dL', 0, undefined, 199),
  triglycerides: measure(
    '2571-8',
    'Triglyceride [Mass/volume] in Serum or Plasma',
    'mg/dL',
    0,
    undefined,
    149,
  ),
  hdl: measure('2085-9', 'Cholesterol in HDL [Mass/volume] in Serum or Plasma', 'mg/dL', 0, 40),
  ldl: measure(
    '13457-7',
    'Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation',
    'mg/dL',
    0,
    undefined,
    129,
  ),
  leukocytes: measure('6690-2', 'Leukocytes [#/volume] in Blood by Automated count', '10*3/uL', 1, 4.5, 11),
  erythrocytes: measure(
    '789-8',
    'Erythrocytes [#/volume] in Blood by Automated count',
    '10*6/uL',
    2,
    3.9,
    5.7,
  ),
  hemoglobin: measure('718-7', 'Hemoglobin [Mass/volume] in Blood', 'g/dL', 1, 12, 17),
  hematocrit: measure('4544-3', 'Hematocrit [Volume Fraction] of Blood by Automated count', '%', 1, 36, 50),
  mcv: measure('787-2', 'MCV [Entitic volume] by Automated count', 'fL', 0, 80, 100),
  platelets: measure('777-3', 'Platelets [#/volume] in Blood by Automated count', '10*3/uL', 0, 150, 400),
  tsh: measure('3016-3', 'Thyrotropin [Units/volume] in Serum or Plasma', 'mIU/L', 2, 0.4, 4.5, 'm[IU]/L'),
  glucoseOneHour: measure(
    '1504-0',
    'Glucose [Mass/volume] in Serum or Plasma --1 hour post 50 g glucose PO',
    'mg/dL',
    0,
    undefined,
    139,
  ),
  inr: measure('6301-6', 'INR in Platelet poor plasma by Coagulation assay', '{INR}', 1, 0.9, 1.1),
  ntProBnp: measure(
    '33762-6',
    'Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma',
    'pg/mL',
    0,
    undefined,
    125,
  ),
  lead: measure('5671-3', 'Lead [Mass/volume] in Blood', 'ug/dL', 1, undefined, 3.4),
  sensorGlucose: measure('99504-3', 'Glucose [Mass/volume] in Interstitial fluid', 'mg/dL', 0, 70, 180),
}

type VitalName =
  | 'systolic'
  | 'diastolic'
  | 'heartRate'
  | 'respiratoryRate'
  | 'temperature'
  | 'oxygen'
  | 'height'
  | 'weight'
  | 'bmi'
  | 'bmiPercentile'
  | 'headCircumference'

/** Vital signs. */
export const vitals: Readonly<Record<VitalName, Measure>> = {
  systolic: measure('8480-6', 'Systolic blood pressure', 'mmHg', 0, 90, 129, 'mm[Hg]'),
  diastolic: measure('8462-4', 'Diastolic blood pressure', 'mmHg', 0, 60, 79, 'mm[Hg]'),
  heartRate: measure('8867-4', 'Heart rate', 'beats/minute', 0, 60, 100, '/min'),
  respiratoryRate: measure('9279-1', 'Respiratory rate', 'breaths/minute', 0, 12, 20, '/min'),
  temperature: measure('8310-5', 'Body temperature', 'C', 1, 36.1, 37.5, 'Cel'),
  oxygen: measure('2708-6', 'Oxygen saturation in Arterial blood', '%', 0, 94, 100),
  height: measure('8302-2', 'Body height', 'cm', 1),
  weight: measure('29463-7', 'Body weight', 'kg', 1),
  bmi: measure('39156-5', 'Body mass index (BMI) [Ratio]', 'kg/m2', 1, 18.5, 24.9),
  bmiPercentile: measure('59576-9', 'Body mass index (BMI) [Percentile] Per age and sex', '%', 0, 5, 84),
  headCircumference: measure('9843-4', 'Head Occipital-frontal circumference', 'cm', 1),
}

type PanelName =
  | 'metabolic'
  | 'lipid'
  | 'bloodCount'
  | 'hba1c'
  | 'urineAlbumin'
  | 'tsh'
  | 'glucoseOneHour'
  | 'inr'
  | 'ntProBnp'
  | 'lead'

/** Panels of laboratory measurements. */
export const panels: Readonly<Record<PanelName, Coding>> = {
  metabolic: loinc('24323-8', 'Comprehensive metabolic 2000 panel - Serum or Plasma'),
  lipid: loinc('24331-1', 'Lipid 1996 panel - Serum or Plasma'),
  bloodCount: loinc('58410-2', 'CBC panel - Blood by Automated count'),
  hba1c: loinc('4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood'),
  urineAlbumin: loinc('9318-7', 'Albumin/Creatinine [Mass Ratio] in Urine'),
  tsh: loinc('3016-3', 'Thyrotropin [Units/volume] in Serum or Plasma'),
  glucoseOneHour: loinc('1504-0', 'Glucose [Mass/volume] in Serum or Plasma --1 hour post 50 g glucose PO'),
  inr: loinc('6301-6', 'INR in Platelet poor plasma by Coagulation assay'),
  ntProBnp: loinc('33762-6', 'Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma'),
  lead: loinc('5671-3', 'Lead [Mass/volume] in Blood'),
}

type ConditionName =
  | 'diabetes2'
  | 'diabetes1'
  | 'hypertension'
  | 'hyperlipidemia'
  | 'obesity'
  | 'pregnancy'
  | 'asthma'
  | 'fibrillation'
  | 'heartFailure'
  | 'kidneyDisease'
  | 'osteoarthritis'
  | 'hypothyroidism'
  | 'bronchitis'
  | 'cold'
  | 'earInfection'
  | 'foodInsecurity'
  | 'backPain'

/** Conditions, each in SNOMED CT and ICD-10-CM. */
export const conditions: Readonly<Record<ConditionName, Concept>> = {
  diabetes2: concept(
    snomed('44054006', 'Diabetes mellitus type 2'),
    icd10('E11.9', 'Type 2 diabetes mellitus without complications'),
  ),
  diabetes1: concept(
    snomed('46635009', 'Diabetes mellitus type 1'),
    icd10('E10.9', 'Type 1 diabetes mellitus without complications'),
  ),
  hypertension: concept(
    snomed('59621000', 'Essential hypertension'),
    icd10('I10', 'Essential (primary) hypertension'),
  ),
  hyperlipidemia: concept(
    snomed('55822004', 'Hyperlipidemia'),
    icd10('E78.5', 'Hyperlipidemia, unspecified'),
  ),
  obesity: concept(snomed('414916001', 'Obesity'), icd10('E66.9', 'Obesity, unspecified')),
  pregnancy: concept(snomed('72892002', 'Normal pregnancy'), icd10('Z33.1', 'Pregnant state, incidental')),
  asthma: concept(snomed('195967001', 'Asthma'), icd10('J45.909', 'Unspecified asthma, uncomplicated')),
  fibrillation: concept(
    snomed('49436004', 'Atrial fibrillation'),
    icd10('I48.91', 'Unspecified atrial fibrillation'),
  ),
  heartFailure: concept(snomed('84114007', 'Heart failure'), icd10('I50.9', 'Heart failure, unspecified')),
  kidneyDisease: concept(
    snomed('433144002', 'Chronic kidney disease stage 3'),
    icd10('N18.30', 'Chronic kidney disease, stage 3 unspecified'),
  ),
  osteoarthritis: concept(
    snomed('396275006', 'Osteoarthritis'),
    icd10('M19.90', 'Unspecified osteoarthritis, unspecified site'),
  ),
  hypothyroidism: concept(
    snomed('40930008', 'Hypothyroidism'),
    icd10('E03.9', 'Hypothyroidism, unspecified'),
  ),
  bronchitis: concept(
    snomed('10509002', 'Acute bronchitis'),
    icd10('J20.9', 'Acute bronchitis, unspecified'),
  ),
  cold: concept(
    snomed('54150009', 'Upper respiratory infection'),
    icd10('J06.9', 'Acute upper respiratory infection, unspecified'),
  ),
  earInfection: concept(
    snomed('65363002', 'Otitis media'),
    icd10('H66.90', 'Otitis media, unspecified, unspecified ear'),
  ),
  foodInsecurity: concept(snomed('733423003', 'Food insecurity'), icd10('Z59.41', 'Food insecurity')),
  backPain: concept(snomed('279039007', 'Low back pain'), icd10('M54.50', 'Low back pain, unspecified')),
}

type MedicineName =
  | 'metformin'
  | 'lisinopril'
  | 'lisinopril20'
  | 'atorvastatin'
  | 'amlodipine'
  | 'amoxicillin'
  | 'acetaminophen'
  | 'apixaban'
  | 'metoprolol'
  | 'furosemide'
  | 'levothyroxine'
  | 'folicAcid'
  | 'glargine'
  | 'lispro'

/** Medicines, in RxNorm. */
export const medicines: Readonly<Record<MedicineName, Concept>> = {
  metformin: concept(rxnorm('861007', 'metformin hydrochloride 500 MG Oral Tablet')),
  lisinopril: concept(rxnorm('314076', 'lisinopril 10 MG Oral Tablet')),
  lisinopril20: concept(rxnorm('314077', 'lisinopril 20 MG Oral Tablet')),
  atorvastatin: concept(rxnorm('617310', 'atorvastatin 20 MG Oral Tablet')),
  amlodipine: concept(rxnorm('197361', 'amlodipine 5 MG Oral Tablet')),
  amoxicillin: concept(rxnorm('308189', 'amoxicillin 80 MG/ML Oral Suspension')),
  acetaminophen: concept(rxnorm('313782', 'acetaminophen 325 MG Oral Tablet')),
  apixaban: concept(rxnorm('1364445', 'apixaban 5 MG Oral Tablet')),
  metoprolol: concept(rxnorm('866436', '24 HR metoprolol succinate 50 MG Extended Release Oral Tablet')),
  furosemide: concept(rxnorm('313988', 'furosemide 40 MG Oral Tablet')),
  levothyroxine: concept(rxnorm('892246', 'levothyroxine sodium 0.1 MG Oral Tablet')),
  folicAcid: concept(rxnorm('310410', 'folic acid 1 MG Oral Tablet')),
  glargine: concept(rxnorm('274783', 'insulin glargine 100 UNT/ML Injectable Solution')),
  lispro: concept(rxnorm('242120', 'insulin lispro 100 UNT/ML Injectable Solution')),
}

type VaccineName =
  | 'hepatitisB'
  | 'dtap'
  | 'polio'
  | 'hib'
  | 'pneumococcal'
  | 'rotavirus'
  | 'mmr'
  | 'varicella'
  | 'hepatitisA'
  | 'influenza'
  | 'tdap'
  | 'zoster'
  | 'pneumococcal23'

/** Vaccines, in CVX. */
export const vaccines: Readonly<Record<VaccineName, Concept>> = {
  hepatitisB: concept(cvx('08', 'Hep B, adolescent or pediatric')),
  dtap: concept(cvx('20', 'DTaP')),
  polio: concept(cvx('10', 'IPV')),
  hib: concept(cvx('48', 'Hib (PRP-T)')),
  pneumococcal: concept(cvx('133', 'Pneumococcal conjugate PCV 13')),
  rotavirus: concept(cvx('119', 'rotavirus, monovalent')),
  mmr: concept(cvx('03', 'MMR')),
  varicella: concept(cvx('21', 'varicella')),
  hepatitisA: concept(cvx('83', 'Hep A, ped/adol, 2 dose')),
  influenza: concept(cvx('140', 'Influenza, seasonal, injectable, preservative free')),
  tdap: concept(cvx('115', 'Tdap')),
  zoster: concept(cvx('187', 'zoster recombinant')),
  pneumococcal23: concept(cvx('33', 'pneumococcal polysaccharide PPV23')),
}

type VisitTypeName = 'checkUp' | 'followUp' | 'symptom' | 'wellChild' | 'prenatal' | 'emergency' | 'admission'

/** Kinds of visits. */
export const visitTypes: Readonly<Record<VisitTypeName, Concept>> = {
  checkUp: concept(snomed('185349003', 'Encounter for check up')),
  followUp: concept(snomed('390906007', 'Follow-up encounter')),
  symptom: concept(snomed('185345009', 'Encounter for symptom')),
  wellChild: concept(snomed('410620009', 'Well child visit')),
  prenatal: concept(snomed('424619006', 'Prenatal visit')),
  emergency: concept(snomed('50849002', 'Emergency room admission')),
  admission: concept(snomed('32485007', 'Hospital admission')),
}
