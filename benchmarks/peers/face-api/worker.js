// @vladmandic/face-api as a worker process of benchmarks/peers/protocol.js. Argument: threads, for the decoder only.
//
// Its Node version needs TensorFlow's native library, which @tensorflow/tfjs-node downloads from another
// host during installation. This is its WebAssembly version, which always uses one thread on Node.
// Detector and classifier are those of its demos, with their default settings.

const path = require('node:path');

const { CROP_SIDE, imported, serve, threads } = require('../protocol.js');

const tf = require('@tensorflow/tfjs');
const { setWasmPaths } = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const sharp = require('sharp');

imported();

if (threads()) sharp.concurrency(threads());

const MODULES = path.join(__dirname, 'node_modules');
const MODELS = path.join(MODULES, '@vladmandic/face-api/model');
const LABELS = {
  neutral: 'neutral', happy: 'happy', sad: 'sad', angry: 'angry', fearful: 'fear', disgusted: 'disgust', surprised: 'surprise',
};

let loading;
const load = () => (loading ??= (async () => {
  setWasmPaths(path.join(MODULES, '@tensorflow/tfjs-backend-wasm/dist/'));
  await tf.setBackend('wasm');
  await faceapi.nets.ssdMobilenetv1.loadFromDisk(MODELS);
  await faceapi.nets.faceExpressionNet.loadFromDisk(MODELS);
})());

const scoresOf = (expressions) => Object.fromEntries(
  Object.entries(LABELS).map(([theirs, ours]) => [ours, expressions[theirs]]));

async function analyze(file) {
  await load();
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixels = tf.tensor3d(data, [info.height, info.width, 3], 'int32');
  const options = new faceapi.SsdMobilenetv1Options();
  const faces = await faceapi.detectAllFaces(pixels, options).withFaceExpressions();
  tf.dispose(pixels);
  return faces.map(({ detection: { box }, expressions }) => (
    { box: [box.left, box.top, box.right, box.bottom], scores: scoresOf(expressions) }));
}

async function classify(crops) {
  await load();
  const scores = [];
  for (const crop of crops) {
    const grey = tf.tensor(crop, [CROP_SIDE, CROP_SIDE, 1], 'int32');
    const picture = tf.tile(grey, [1, 1, 3]);
    scores.push(scoresOf(await faceapi.recognizeFaceExpressions(picture)));
    tf.dispose([grey, picture]);
  }
  return scores;
}

const packages = ['@vladmandic/face-api', '@tensorflow/tfjs-backend-wasm', 'sharp'];
serve({ folder: __dirname, packages, analyze, classify });
