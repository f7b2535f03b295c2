"""What one program does, in TensorFlow's words: what rules and plug-ins see."""
