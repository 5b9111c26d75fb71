// The part of the ONNX schema that the benchmark reads and writes. What is left out here is not written back.

import protobuf from "protobufjs";

const SCHEMA = `
syntax = "proto2";
message Model { optional int64 ir_version = 1; optional Graph graph = 7; repeated OpSet opset_import = 8; }
message OpSet { optional string domain = 1; optional int64 version = 2; }
message Graph { repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5;
                repeated bytes input = 11; repeated Value output = 12; }
message Node { repeated string input = 1; repeated string output = 2; optional string name = 3;
               optional string op_type = 4; repeated Attribute attribute = 5; }
message Attribute { optional string name = 1; optional float f = 2; optional int64 i = 3;
                    repeated int64 ints = 8; optional int32 type = 20; }
message Tensor { repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8;
                 optional bytes raw_data = 9; repeated Entry external_data = 13; optional int32 data_location = 14; }
message Entry { optional string key = 1; optional string value = 2; }
message Value { optional string name = 1; optional Type type = 2; }
message Type { optional TensorType tensor_type = 1; }
message TensorType { optional int32 elem_type = 1; optional TensorShape shape = 2; }
message TensorShape { repeated Dim dim = 1; }
message Dim { optional int64 dim_value = 1; }

message Sealed { optional int64 ir_version = 1; optional SealedGraph graph = 7; repeated bytes opset_import = 8;
                 repeated bytes functions = 25; }
message SealedGraph { repeated bytes node = 1; optional string name = 2; repeated bytes initializer = 5;
                      repeated bytes input = 11; repeated bytes output = 12; repeated bytes sparse_initializer = 15; }
`;
const { root } = protobuf.parse(SCHEMA, { keepCase: true });

export const Model = root.lookupType("Model");
export const Node = root.lookupType("Node");
export const Tensor = root.lookupType("Tensor");
export const Value = root.lookupType("Value");
/** A model whose nodes and weights stay the bytes that they are: for files of which we do not know what is in them. */
export const Sealed = root.lookupType("Sealed");

/** Numbers that ONNX has for types of elements and attributes. */
export const FLOAT = 1;
export const INT64 = 7;
export const ATTRIBUTE_INT = 2;
